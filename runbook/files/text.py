"""What a file's bytes are as text: byte order mark, line ends, indentation; decoded and encoded without loss."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from runbook.errors import DocumentError
from runbook.wording import pasteable

BOM = b"\xef\xbb\xbf"


class Splice(NamedTuple):
    """Replace `start` up to `end` of a text by `new`; start == end inserts."""

    start: int
    end: int
    new: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A decoded file: `body` has no byte order mark and every other character as found, line ends included."""

    path: Path
    body: str
    bom: bool

    def line(self, offset: int) -> int:
        """Line number, from 1, of a character."""
        return self.body.count("\n", 0, offset) + 1

    def where(self, offset: int) -> str:
        """`file:line` of a character: what an editor jumps to."""
        return f"{pasteable(self.path)}:{self.line(offset)}"

    def indentation(self, offset: int) -> str:
        """The white space that the line of a character begins with."""
        start = self.body.rfind("\n", 0, offset) + 1
        line = self.body[start:offset]
        return line[: len(line) - len(line.lstrip(" \t"))]

    def newline(self, offset: int) -> str:
        """The line end nearest above a character, else the first one of the file, else LF."""
        at = self.body.rfind("\n", 0, offset)
        if at < 0:
            at = self.body.find("\n")
        return "\r\n" if at > 0 and self.body[at - 1] == "\r" else "\n"

    def refusal(self, seen: str, *, fix: str, offset: int | None = None) -> DocumentError:
        """The error for something seen in this file, at a character or about the whole file."""
        where = pasteable(self.path) if offset is None else self.where(offset)
        return DocumentError(seen, where=where, fix=fix)

    def encoded(self, body: str, *, strip_bom: bool = False) -> bytes:
        """The bytes of an edited body, with the byte order mark as found unless it is to go."""
        return (b"" if strip_bom or not self.bom else BOM) + body.encode()


def decoded(raw: bytes, *, path: Path) -> Text:
    """Decode UTF-8 without any conversion; raises DocumentError for other encodings and for an empty file."""
    content = raw.removeprefix(BOM)
    if not content.strip():
        raise DocumentError(
            "the file is empty", where=pasteable(path), fix="restore it from version control or a backup"
        )
    try:
        body = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DocumentError(
            f"not UTF-8: byte 0x{content[error.start]:02x} at offset {error.start}",
            where=f"{pasteable(path)}:{line}",
            fix="save the file as UTF-8 and run the command again",
        ) from None
    return Text(path=path, body=body, bom=raw.startswith(BOM))


def spliced(body: str, splices: Iterable[Splice]) -> str:
    """Apply splices, which must not overlap; those at one place keep the order they were given in."""
    pieces: list[str] = []
    at = 0
    for splice in sorted(splices, key=lambda splice: splice.start):
        pieces += [body[at : splice.start], splice.new]
        at = splice.end
    return "".join([*pieces, body[at:]])
