"""Two files written together, and what recovery makes of what it finds: its own traces, and a stranger's."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runbook import platforms
from runbook.errors import DocumentError, RunbookError
from runbook.files.file_change import FileChange
from runbook.files.file_io import read_document, write_documents
from runbook.files.in_place import is_torn
from runbook.files.journal import abandoned, entered, unfinished
from runbook.files.recovery import recover
from runbook.platforms import account, is_root, opened, try_lock
from tests.cut_off import cut_off, journalled

LINKS = pytest.mark.posix("symbolic links for everybody")
NOBODY = (account("nobody") or (0,))[0]
BEFORE, AFTER = b"0123456789" * 10, b"01234abcdefghij" * 10


@pytest.fixture
def changes(tmp_path: Path) -> list[FileChange]:
    """A dashboard that grows and a rules file that shrinks."""
    made = [
        FileChange(path=tmp_path / "dashboard.json", before=BEFORE, after=AFTER),
        FileChange(path=tmp_path / "rules.yml", before=AFTER, after=BEFORE),
    ]
    for change in made:
        change.path.write_bytes(change.before)
    return made


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal"


def contents(changes: list[FileChange]) -> list[bytes]:
    return [read_document(change.path) for change in changes]


def test_both_files_are_written_and_the_journal_is_empty(changes: list[FileChange], journal: Path) -> None:
    inodes = [change.path.stat().st_ino for change in changes]
    assert write_documents(changes, journal=journal) == ()
    assert contents(changes) == [AFTER, BEFORE]
    assert [change.path.stat().st_ino for change in changes] == inodes
    assert [*journal.iterdir()] == []
    if sys.platform != "win32":
        assert journal.stat().st_mode & 0o777 == 0o700
    assert recover(journal) == ()


def test_nothing_to_write_is_written(journal: Path) -> None:
    assert write_documents([], journal=journal) == ()
    assert not journal.exists()


@pytest.mark.posix("owners")
def test_permissions_owner_and_attributes_stay(changes: list[FileChange], journal: Path) -> None:
    """Whatever is not content. SELinux labels and access control lists are such attributes: nobody restores them."""
    path = changes[0].path
    path.chmod(0o640)
    if is_root():
        os.chown(path, 1234, 2345)
    try:
        os.setxattr(path, "user.origin", b"field")
    except OSError as error:
        if error.errno != errno.ENOTSUP:
            raise
        pytest.skip("this file system keeps no extended attributes")
    before = path.stat()
    write_documents(changes, journal=journal)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert os.getxattr(path, "user.origin") == b"field"


@LINKS
def test_a_symbolic_link_is_followed_and_said_so(changes: list[FileChange], journal: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(changes[0].path)
    notes = write_documents([FileChange(path=link, before=BEFORE, after=AFTER)], journal=journal)
    assert notes == (f"{link} is a symbolic link: {changes[0].path} was written",)
    assert link.is_symlink()
    assert read_document(changes[0].path) == AFTER


@pytest.mark.parametrize("changed", [0, 1])
def test_a_foreign_change_of_either_file_stops_both(changes: list[FileChange], journal: Path, changed: int) -> None:
    """Nothing at all is written, and no entry is made."""
    changes[changed].path.write_bytes(b"theirs")
    expected = contents(changes)
    with pytest.raises(DocumentError, match="changed by somebody else") as refused:
        write_documents(changes, journal=journal)
    assert refused.value.where == str(changes[changed].path)
    assert contents(changes) == expected
    assert not journal.exists()


def test_one_file_by_two_paths_is_refused(changes: list[FileChange], journal: Path, tmp_path: Path) -> None:
    """A hard link; the second write would undo the first."""
    other = tmp_path / "other.json"
    other.hardlink_to(changes[0].path)
    with pytest.raises(DocumentError, match="one and the same file"):
        write_documents([changes[0], FileChange(path=other, before=BEFORE, after=b"x")], journal=journal)
    assert contents(changes) == [BEFORE, AFTER]


def test_a_journal_that_cannot_be_kept_stops_the_write(changes: list[FileChange], tmp_path: Path) -> None:
    """Without a journal no byte is touched."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DocumentError, match=r"Not a directory|[Ff]ile (already )?exists|already exists"):
        write_documents(changes, journal=tmp_path / "file" / "journal")
    assert contents(changes) == [BEFORE, AFTER]


@pytest.mark.posix("names that are no text")
def test_a_path_that_is_no_text_can_be_recovered(journal: Path, tmp_path: Path) -> None:
    """Names of files are bytes; some are not UTF-8."""
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.json"))
    path.write_bytes(BEFORE)
    change = FileChange(path=path, before=BEFORE, after=AFTER)
    cut_off([change], journal, AFTER[:50] + BEFORE[50:] + AFTER[100:])
    assert [one.outcome for one in recover(journal)] == ["undone"]
    assert path.read_bytes() == BEFORE


CUT = BEFORE + AFTER[100:110]
"""What a kill leaves while the file grows."""
TORN = AFTER[:7] + BEFORE[7:] + AFTER[100:110]


@pytest.mark.parametrize(
    ("found", "outcomes", "expected"),
    [
        ((BEFORE, AFTER), ["undone", "undone"], (BEFORE, AFTER)),
        ((AFTER, BEFORE), ["completed", "completed"], (AFTER, BEFORE)),
        ((AFTER, AFTER), ["undone", "undone"], (BEFORE, AFTER)),
        ((CUT, AFTER), ["undone", "undone"], (BEFORE, AFTER)),
        ((AFTER, BEFORE[:30] + AFTER[30:]), ["undone", "undone"], (BEFORE, AFTER)),
        ((AFTER, b"theirs"), ["completed", "left", "left"], (AFTER, b"theirs")),
        ((TORN, b"theirs"), ["left", "left", "left"], (TORN, b"theirs")),
        ((BEFORE[:60] + AFTER[60:], b""), ["undone", "left", "left"], (BEFORE, b"")),
    ],
)
def test_what_recovery_makes_of_what_it_finds(
    changes: list[FileChange],
    journal: Path,
    found: tuple[bytes, bytes],
    outcomes: list[str],
    expected: tuple[bytes, bytes],
) -> None:
    """One state for both files; what our writing does not explain to the byte stays, and its entry is kept."""
    cut_off(changes, journal, *found)
    recovered = recover(journal)
    assert [one.outcome for one in recovered] == outcomes
    assert contents(changes) == [*expected]
    assert [path.suffix for path in journal.iterdir()] == ([".left"] if "left" in outcomes else [])
    assert recover(journal) == ()


def test_a_file_replaced_by_another_is_never_written(changes: list[FileChange], journal: Path, tmp_path: Path) -> None:
    """Even if it holds just what we would have written: the inode is not the one of the entry."""
    cut_off(changes, journal, AFTER, AFTER)
    copy = tmp_path / "copy"
    copy.write_bytes(AFTER)
    copy.replace(changes[0].path)
    recovered = recover(journal)
    assert recovered[0].outcome == "left"
    assert "replaced" in recovered[0].reason
    assert contents(changes) == [AFTER, AFTER]


def test_a_file_replaced_by_another_decides_nothing_for_the_rest(changes: list[FileChange], journal: Path) -> None:
    """It holds the old bytes, and is not the file that did: the other one is not taken back for its sake."""
    cut_off(changes, journal, AFTER, BEFORE)
    copy = changes[0].path.with_name("copy")
    copy.write_bytes(BEFORE)
    copy.replace(changes[0].path)
    assert [one.outcome for one in recover(journal)] == ["left", "completed", "left"]
    assert contents(changes) == [BEFORE, BEFORE]


def swapped(kind: str, path: Path) -> None:
    """Put something else where a file was, which leads to the file or does not."""
    moved = path.with_name("moved")
    path.rename(moved)
    if kind == "link to it":
        path.symlink_to(moved)
    elif kind == "link elsewhere":
        moved.with_name("elsewhere").write_bytes(moved.read_bytes())
        path.symlink_to(moved.with_name("elsewhere"))
    elif kind == "hard link to another":
        moved.with_name("elsewhere").write_bytes(moved.read_bytes())
        path.hardlink_to(moved.with_name("elsewhere"))
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("link to it", marks=LINKS),
        pytest.param("link elsewhere", marks=LINKS),
        pytest.param("pipe", marks=pytest.mark.posix("named pipes")),
        "hard link to another",
        "folder",
    ],
)
def test_a_path_that_leads_elsewhere_is_never_written(changes: list[FileChange], journal: Path, kind: str) -> None:
    """Neither followed nor opened: a pipe would wait for ever, and what a link leads to may be anybody's file."""
    cut_off(changes, journal, CUT, AFTER)
    swapped(kind, changes[0].path)
    recovered = recover(journal)
    assert [one.outcome for one in recovered] == ["left", "undone", "left"]
    assert "replaced" in recovered[0].reason
    for name in ("moved", "elsewhere"):
        path = changes[0].path.with_name(name)
        assert not path.exists() or path.read_bytes() == CUT


@LINKS
def test_a_folder_that_has_become_a_link_is_not_entered(journal: Path, tmp_path: Path) -> None:
    """The very file is behind it, by another path than the recorded one."""
    folder = tmp_path / "dashboards"
    folder.mkdir()
    change = FileChange(path=folder / "d.json", before=BEFORE, after=AFTER)
    change.path.write_bytes(BEFORE)
    cut_off([change], journal, CUT)
    folder.rename(tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    assert [one.outcome for one in recover(journal)] == ["left", "left"]
    assert change.path.read_bytes() == CUT


def test_a_second_name_of_the_same_file_does_not_hide_it(changes: list[FileChange], journal: Path) -> None:
    """A hard link beside it: path, device, inode and content are the recorded ones."""
    cut_off(changes, journal, CUT, AFTER)
    other = changes[0].path.with_name("second")
    other.hardlink_to(changes[0].path)
    assert [one.outcome for one in recover(journal)] == ["undone", "undone"]
    assert other.read_bytes() == BEFORE


@contextmanager
def umask_of(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


@pytest.mark.posix("umask")
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids=oct)
def test_what_the_journal_makes_is_its_owners_alone(changes: list[FileChange], journal: Path, umask: int) -> None:
    """Whatever the umask: folders 0700, entries and what is left 0600."""
    modes = {}

    def look() -> None:
        for path in [journal.parent, journal, *journal.rglob("*")]:
            modes[path] = (path.is_dir(), oct(stat.S_IMODE(path.stat().st_mode)))

    with umask_of(umask):
        with entered(journal, journalled(changes)):
            look()
        changes[0].path.write_bytes(b"theirs")
        recover(journal)
        look()
    assert {mode for is_folder, mode in modes.values() if is_folder} == {"0o700"}
    assert {mode for is_folder, mode in modes.values() if not is_folder} == {"0o600"}
    assert len(modes) == 2 + 1 + 1 + 4  # the folders, the entry, and a folder with old and new bytes of two files


@pytest.mark.posix("rights")
def test_wider_rights_on_what_is_ours_are_taken_away(changes: list[FileChange], journal: Path) -> None:
    cut_off(changes, journal, CUT, AFTER)
    (entry,) = journal.iterdir()
    entry.chmod(0o666)
    journal.chmod(0o777)
    with entered(journal, journalled(changes)):
        assert stat.S_IMODE(journal.stat().st_mode) == 0o700
    assert [stat.S_IMODE(one.path.stat().st_mode) for one in abandoned(journal)] == [0o600, 0o600]


def test_an_entry_without_any_rights_is_read(changes: list[FileChange], journal: Path) -> None:
    """What a kill leaves under umask 0777, between the making of an entry and its rights."""
    cut_off(changes, journal, CUT, AFTER)
    (entry,) = journal.iterdir()
    entry.chmod(0)
    assert [one.outcome for one in recover(journal)] == ["undone", "undone"]


@pytest.mark.posix("owners")
@pytest.mark.skipif(not is_root(), reason="needs root to give something to another user")
@pytest.mark.parametrize("whose", ["folder", "entry"])
def test_what_another_user_left_is_refused_by_name(changes: list[FileChange], journal: Path, whose: str) -> None:
    """Whoever may write an entry could have any file overwritten. Nothing is touched, and the owner is named."""
    cut_off(changes, journal, CUT, AFTER)
    (entry,) = journal.iterdir()
    theirs = journal if whose == "folder" else entry
    os.chown(theirs, NOBODY, -1)
    with pytest.raises(RunbookError, match=f"{theirs.name} belongs to nobody, and this command runs as root") as caught:
        recover(journal)
    assert caught.value.where == str(theirs)
    assert contents(changes) == [CUT, AFTER]
    assert entry.exists()


@pytest.mark.posix("owners")
@pytest.mark.skipif(not is_root(), reason="needs root to give something to another user")
def test_nothing_is_written_with_a_journal_of_another_user(changes: list[FileChange], journal: Path) -> None:
    journal.mkdir(parents=True)
    os.chown(journal, NOBODY, -1)
    with pytest.raises(RunbookError, match="journal belongs to nobody"):
        write_documents(changes, journal=journal)
    assert contents(changes) == [BEFORE, AFTER]


@pytest.mark.parametrize("link", [pytest.param("symbolic", marks=LINKS), "hard"])
def test_an_entry_that_is_a_link_is_not_read(changes: list[FileChange], journal: Path, link: str) -> None:
    """Somebody put it there: an entry is made by us, and has one name."""
    cut_off(changes, journal, CUT, AFTER)
    (entry,) = journal.iterdir()
    elsewhere = journal.with_name("elsewhere")
    if link == "hard":
        elsewhere.hardlink_to(entry)
    else:
        entry.rename(elsewhere)
        entry.symlink_to(elsewhere)
    with pytest.raises(DocumentError, match="is a link") as caught:
        recover(journal)
    assert caught.value.where == str(entry)
    assert contents(changes) == [CUT, AFTER]


def test_a_file_that_is_gone_stays_gone(changes: list[FileChange], journal: Path) -> None:
    cut_off(changes, journal, AFTER, AFTER)
    changes[0].path.unlink()
    assert [one.outcome for one in recover(journal)] == ["left", "undone", "left"]
    assert not changes[0].path.exists()


def test_what_is_left_can_be_read_as_plain_files(changes: list[FileChange], journal: Path) -> None:
    """Old and new bytes of each file, for whoever puts them right by hand."""
    cut_off(changes, journal, TORN, b"theirs")
    kept = recover(journal)[-1].path
    names = [f"{number}-{change.path.name}" for number, change in enumerate(changes, start=1)]
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == {
        f"{name}.{version}": content
        for name, change in zip(names, changes, strict=True)
        for version, content in (("before", change.before), ("after", change.after))
    }
    if sys.platform != "win32":
        assert all(path.stat().st_mode & 0o077 == 0 for path in (kept, *kept.iterdir()))


def test_an_entry_that_was_altered_is_not_believed(changes: list[FileChange], journal: Path) -> None:
    """The bytes in it are checked by their hashes; the entry is kept aside and named."""
    cut_off(changes, journal, AFTER, AFTER)
    (entry,) = journal.iterdir()
    entry.write_bytes(entry.read_bytes().replace(b'"before":"M', b'"before":"N'))
    (recovered,) = recover(journal)
    assert (recovered.outcome, recovered.path) == ("left", entry.with_suffix(".left"))
    assert [path.name for path in recovered.path.iterdir()] == [entry.name]
    assert contents(changes) == [AFTER, AFTER]


@pytest.mark.parametrize("lists_locks", [True, False], ids=["Linux", "macOS"])
def test_who_only_looks_sees_what_is_unfinished_and_touches_nothing(
    changes: list[FileChange], journal: Path, lists_locks: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An entry that is being written, and one that is being worked on, are nobody's business."""
    if not lists_locks:
        monkeypatch.setattr(platforms, "PROC", journal / "no proc")
    assert unfinished(journal) == ()
    cut_off(changes, journal, AFTER, AFTER)
    (journal / "x.tmp").write_bytes(b"[{")
    (entry,) = journal.glob("*.entry")
    assert unfinished(journal) == (entry,)
    descriptor = opened(entry, os.O_RDONLY)
    assert try_lock(descriptor)
    assert unfinished(journal) == ()
    os.close(descriptor)
    assert sorted(path.name for path in journal.iterdir()) == sorted([entry.name, "x.tmp"])
    assert len(recover(journal)) == len(changes)


def test_an_entry_that_was_never_whole_is_removed(changes: list[FileChange], journal: Path) -> None:
    """Killed while the entry was written: no file had been touched."""
    journal.mkdir(parents=True)
    (journal / "x.tmp").write_bytes(b"[{")
    assert recover(journal) == ()
    assert [*journal.iterdir()] == []
    assert contents(changes) == [BEFORE, AFTER]


def test_a_write_that_goes_on_is_not_recovered_by_another_process(changes: list[FileChange], journal: Path) -> None:
    """Two targets may share a journal: an entry that its writer still holds is not touched."""
    program = (
        "import sys, pathlib; from runbook.files.recovery import recover; print(recover(pathlib.Path(sys.argv[1])))"
    )
    with entered(journal, journalled(changes)) as entry:
        done = subprocess.run([sys.executable, "-c", program, journal], capture_output=True, check=True)
        assert done.stdout.split() == [b"()"]
        assert entry.path.exists()


@pytest.mark.posix("ETXTBSY")
def test_a_file_that_cannot_be_put_right_yet_keeps_its_entry(
    changes: list[FileChange], journal: Path, tmp_path: Path
) -> None:
    """The next command tries again; here the file is a program that runs."""
    sleep = tmp_path / "sleep"
    sleep.write_bytes(Path("/bin/sleep").read_bytes())
    sleep.chmod(0o755)
    torn = sleep.read_bytes()
    change = FileChange(path=sleep, before=b"x" + torn[1:], after=torn)
    changes[0].path.unlink()
    other = FileChange(path=changes[1].path, before=AFTER, after=BEFORE)
    with subprocess.Popen([sleep, "60"]) as running:
        try:
            with entered(journal, journalled([change, other])):
                pass
            with pytest.raises(DocumentError, match="Text file busy"):
                recover(journal)
            assert [path.suffix for path in journal.iterdir()] == [".entry"]
        finally:
            running.kill()
    assert [one.outcome for one in recover(journal)] == ["undone", "undone"]
    assert sleep.read_bytes() == change.before


SMALL = st.text("abc", max_size=6).map(str.encode)


@given(before=SMALL, after=SMALL, data=st.data())
def test_every_state_of_a_write_is_explained(before: bytes, after: bytes, data: st.DataObject) -> None:
    """Growing, overwriting and putting back, each cut off after any byte."""
    shorter, longer = sorted((before, after), key=len)
    both = len(shorter)
    grown = shorter + longer[both : data.draw(st.integers(both, len(longer)))]
    new = data.draw(st.integers(0, both))
    back = data.draw(st.integers(0, new))
    head = before[:back] + after[back:new] + before[new:both]
    assert is_torn(grown, before, after)
    assert is_torn(head + longer[both:], before, after)


@given(before=SMALL, after=SMALL, found=SMALL)
def test_nothing_else_is_explained(before: bytes, after: bytes, found: bytes) -> None:
    """Against all states written out: a stranger's bytes are never taken for ours."""
    shorter, longer = sorted((before, after), key=len)
    both = len(shorter)
    states = {shorter + longer[both:end] for end in range(both, len(longer) + 1)}
    for new in range(both + 1):
        for back in range(new + 1):
            states.add(before[:back] + after[back:new] + before[new:both] + longer[both:])
    assert is_torn(found, before, after) is (found in states)
