"""Files under names and in states that are rare: named in a way that can be pasted, written, diffed or refused."""

import errno
import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import NoReturn, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook.diagnosis.facts import Facts
from runbook.diagnosis.files import rules_file
from runbook.errors import DocumentError, UsageError
from runbook.files.file_change import FileChange
from runbook.files.file_discovery import found_files
from runbook.files.file_io import read_document, refuse_unwritable, write_documents
from runbook.settings import Target
from runbook.systems.runtime import Mount, Runtime, Service
from runbook.wording import pasteable, visible_line

NAMES = [
    "a b.json",
    "two\nlines.json",
    "-rf",
    "it's",
    'say "no"',
    "back\\slash",
    "tab\there",
    "~me",
    "$HOME",
    "ä 日本 🔥.json",
]
NAMES += ["\x1b[31mred", "a;b&c|d", "#no", "*?[x]", "\u202egnp.exe", "--", "!!"]
NOBODY = 65534


@pytest.mark.posix("bash")
@pytest.mark.parametrize("name", [*NAMES, "/plain/ä-1.json"], ids=ascii)
def test_a_shell_takes_what_is_printed_for_the_path(name: str) -> None:
    """One word, the same bytes, and no option; nothing of it is a line end or a colour to a terminal."""
    printed = pasteable(PurePosixPath(name))
    words = subprocess.run(["bash", "-c", f"printf '%s\\0' {printed}"], capture_output=True, check=True).stdout

    assert [os.fsencode(name if not name.startswith("-") else f"./{name}"), b""] == words.split(b"\0")
    assert printed.isprintable()


@given(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="/\0"), min_size=1, max_size=12).filter(
        lambda name: name != "."
    )
)
def test_every_name_is_printed_on_one_line_and_unlike_any_other(name: str) -> None:
    """Quoting loses nothing: plain names stay as they are."""
    printed = pasteable(PurePosixPath("/x") / name)

    assert printed == visible_line(printed).replace("\t", "")
    assert (printed == f"/x/{name}") is all(char.isalnum() or char in "_@%+=:,./-" for char in name)


@pytest.mark.posix("names that are no text")
def test_a_name_that_is_no_utf_8_keeps_its_bytes() -> None:
    assert pasteable(PurePosixPath(os.fsdecode(b"/x/\xff.json"))) == r"$'/x/\xff.json'"


def test_a_path_of_windows_is_quoted_as_its_shells_do() -> None:
    assert pasteable(PureWindowsPath(r"C:\Users\a b\x.json")) == r'"C:\Users\a b\x.json"'
    assert pasteable(PureWindowsPath(r"C:\x.json")) == r"C:\x.json"


@pytest.mark.posix("such names, and no git where these tests run")
@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_diff_of_a_file_can_be_applied_whatever_its_name_is(tmp_path: Path, name: str) -> None:
    """By git, and by patch in the same folder; and the file is written in place under that name."""
    path = tmp_path / name
    change = FileChange(path=Path(name), before=b"a\nb\n", after=b"a\nc\n")
    for command in (["git", "apply", "-p0", "-"], ["patch", "-s", "-p0"]):
        path.write_bytes(change.before)
        subprocess.run(command, input=change.diff().encode(), check=True, cwd=tmp_path, capture_output=True)
        assert path.read_bytes() == change.after

    write_documents([FileChange(path=path, before=b"a\nc\n", after=b"d\n")], journal=tmp_path / "journal")
    assert path.read_bytes() == b"d\n"


def pipe(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    os.mknod(path, stat.S_IFSOCK | 0o600)


@pytest.mark.parametrize(
    ("make", "seen"),
    [
        pytest.param(pipe, "a named pipe", marks=pytest.mark.posix("named pipes"), id="pipe"),
        pytest.param(unix_socket, "a socket", marks=pytest.mark.posix("Unix sockets"), id="socket"),
        pytest.param(Path.mkdir, "a folder", id="folder"),
    ],
)
def test_what_is_no_file_is_named_and_not_opened(tmp_path: Path, make: Callable[[Path], None], seen: str) -> None:
    """Reading a pipe that nobody writes would never end."""
    make(tmp_path / "x")
    with pytest.raises(DocumentError, match=f"this is {seen}, not a regular file"):
        read_document(tmp_path / "x")


@pytest.mark.posix("named pipes")
def test_troubleshoot_does_not_wait_at_a_pipe(tmp_path: Path) -> None:
    """The file that the settings name is read as setup reads it."""
    os.mkfifo(tmp_path / "rules.yml")
    target = Target.from_tables("live", {"files": {"rules": str(tmp_path / "rules.yml")}}, source="test")
    facts = Facts(target, cast("Runtime", Mounted(tmp_path)), state_dir=tmp_path)

    with pytest.raises(DocumentError, match="a named pipe"):
        rules_file(facts)


@pytest.mark.parametrize(
    ("number", "fix"),
    [
        (errno.EROFS, "a container sees it read-only"),
        (errno.EPERM, "chattr -i"),
        (errno.EACCES, "give yourself write permission"),
    ],
)
def test_what_may_not_be_written_is_said_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fix: str
) -> None:
    """A read-only mount, an immutable file, another owner; the bytes are as they were."""
    path = tmp_path / "a b.json"
    path.write_bytes(b"old")

    def refuse(*_: object) -> NoReturn:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("runbook.files.file_io.opened", refuse)
    with pytest.raises(DocumentError, match="the file is as it was") as refused:
        refuse_unwritable(path)
    monkeypatch.undo()

    assert fix in refused.value.fix
    assert refused.value.where == pasteable(path)
    assert path.read_bytes() == b"old"


@contextmanager
def as_nobody(*paths: Path) -> Iterator[None]:
    """Be another user for a while, if this is root; the paths' folders let everybody through."""
    if os.geteuid() != 0:
        yield
        return
    for path in paths:
        for folder in path.parents:
            if folder.stat().st_uid == 0 and folder != Path(folder.anchor) and "pytest" in str(folder):
                folder.chmod(0o755)
    os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)


@pytest.mark.posix("rights")
def test_a_file_that_is_listed_and_may_not_be_read(tmp_path: Path) -> None:
    """The right that is missing is the one to read."""
    path = tmp_path / "rules.yml"
    path.write_bytes(b"x")
    path.chmod(0o000)

    with as_nobody(path), pytest.raises(DocumentError, match="Permission denied") as refused:
        read_document(path)

    assert "give yourself read permission" in refused.value.fix


@pytest.mark.posix("rights")
def test_a_file_that_may_be_read_and_not_written(tmp_path: Path) -> None:
    path = tmp_path / "rules.yml"
    path.write_bytes(b"x")
    path.chmod(0o444)

    with as_nobody(path):
        assert read_document(path) == b"x"
        with pytest.raises(DocumentError, match="Permission denied; the file is as it was") as refused:
            refuse_unwritable(path)

    assert "give yourself write permission" in refused.value.fix


class Mounted:
    """An engine of this host that mounts a folder for Grafana."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def mounts(self, _: Service) -> tuple[Mount, ...]:
        return (Mount(source=str(self.folder), destination="/var/lib/grafana/dashboards"),)

    def host(self) -> str:
        return "localhost"


@pytest.mark.posix("rights")
def test_a_mounted_folder_that_may_not_be_looked_into_is_named(tmp_path: Path) -> None:
    """The dashboard may be in it: that no mount leads to it would not be true."""
    folder = tmp_path / "closed folder"
    folder.mkdir(mode=0o600)

    target = Target.from_tables("live", {}, source="test")

    with as_nobody(folder), pytest.raises(UsageError, match="may not look into") as refused:
        found_files(target, cast("Runtime", Mounted(folder)))

    assert refused.value.where == f"'{folder}'"
    assert "--dashboard FILE" in refused.value.fix


@pytest.mark.posix("symbolic links for everybody")
def test_a_link_that_leads_nowhere_is_named_with_its_goal(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "not here")
    target = Target.from_tables("live", {}, source="test")

    with pytest.raises(UsageError, match="not here', which is not there") as refused:
        found_files(target, cast("Runtime", Mounted(tmp_path)), dashboard=link, rules=tmp_path / "rules.yml")

    assert refused.value.where == str(link)
