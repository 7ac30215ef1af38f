"""What a kill in the middle of a write leaves behind, made without one: torn files, and the journal's entry of them."""

from collections.abc import Sequence
from pathlib import Path

from runbook.files.file_change import FileChange
from runbook.files.journal import JournalledFile, entered


def journalled(changes: Sequence[FileChange]) -> list[JournalledFile]:
    return [
        JournalledFile(change=change, device=change.path.stat().st_dev, inode=change.path.stat().st_ino)
        for change in changes
    ]


def cut_off(changes: Sequence[FileChange], journal: Path, *contents: bytes) -> None:
    """Leave an entry that nobody holds, and files that hold `contents`."""
    with entered(journal, journalled(changes)):
        for change, content in zip(changes, contents, strict=True):
            change.path.write_bytes(content)
