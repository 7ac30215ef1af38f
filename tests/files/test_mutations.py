"""The tests of the editors are tested: each of these bugs, put into a copy of the package, is caught by them.

Only fast tests are run on the copies, up to the first that fails: those of the situations for the editors, those of the
files for the writers. The slow ones judge more files, not other things.
"""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = [pytest.mark.timeout(300), pytest.mark.posix("fork")]

ROOT = Path(__file__).resolve().parents[2]
EDITING = ("test_cases.py",)
WRITING = ("test_recovery.py", "test_file_io.py")
WRITERS = {"in_place.py", "journal.py", "recovery.py", "file_io.py"}

MUTATIONS = [
    # What reaches down from above the insertion row is not seen.
    ("layout.py", "if other.y < row", "if other.y > row"),
    # Panels side by side count as overlapping.
    ("dashboard_file.py", "self.x + self.w <= other.x", "self.x + self.w < other.x"),
    # Of repeated keys the first is edited, the last one counts.
    ("dashboard_edit.py", "reversed([*json_text.members(body, grid.start)])", "[*json_text.members(body, grid.start)]"),
    # The byte order mark is lost.
    ("text.py", 'b"" if strip_bom or not self.bom else BOM', 'b""'),
    # New lines end in LF whatever the others do.
    ("text.py", 'return "\\r\\n" if at > 0', 'return "\\n" if at > 0'),
    # The new id is the next one, not a free one.
    ("our_panels.py", "free = max([*taken, number]) + 1", "free = number + 1"),
    # A graph is made of the points of one time.
    ("needed_fields.py", 'target["instant"] = False', 'target["instant"] = True'),
    # A reference that leads elsewhere keeps the members that ours has not.
    ("needed_fields.py", "found and found.keys() <= wanted.keys():", "found:"),
    # What is missing goes behind the last key that is not repeated.
    ("panel_repair.py", "found.pop(member.key, None)", "found.get(member.key)"),
    # What a repair writes on lines of its own is written on one.
    ("panel_repair.py", "style.unit is not None and not _BEGINS_A_LINE", "style.unit is not None and _BEGINS_A_LINE"),
    # An id that is written as a string is none.
    ("dashboard_file.py", "if isinstance(number, str) and", "if isinstance(number, bytes) and"),
    # What comes by a merge key is not seen; or it counts before what the mapping says itself.
    ("yaml_text.py", "if pair[0].tag == _MERGE)", 'if pair[0].tag == "")'),
    ("yaml_text.py", "pair[0].value not in names]", "names is not None]"),
    # A rule with other annotations counts as the wanted one, and so does one with other labels.
    ("wanted_rule.py", "if _spelt(seen.get(key)) != _spelt(wanted.get(key))", "if key not in seen"),
    # The comment of the next group is taken for the target's.
    ("rule_lines.py", 'line.lstrip(" ").startswith("#") and indent >= column', 'line.lstrip(" ").startswith("#")'),
    # A list that two groups share gets the alert.
    ("rules_file.py", "sum(value is rules for value in lists) > 1 or", "sum(value is rules for value in lists) > 2 or"),
    # What somebody else saved meanwhile is overwritten.
    ("file_io.py", "if found != change.before:", "if found is None:"),
    # A shorter file keeps the end of the longer one.
    ("in_place.py", "os.ftruncate(descriptor, len(goal))", "sync(descriptor)"),
    # A stranger's bytes count as ours.
    ("in_place.py", "return head[start:end] == new[start:end]", "return True"),
    # One file stays new while the other is old.
    ("recovery.py", 'undo = "before" in states or "torn" in states', 'undo = "torn" in states'),
    # A path that leads to the file by a link, or to another file, is followed.
    ("recovery.py", "os.path.realpath(path) != str(path) or not _is_recorded(file, path.lstat())", "not path.exists()"),
    # The rights of an entry depend on the umask.
    ("journal.py", "restrict(descriptor, _OWNER_ONLY)", "sync(descriptor)"),
    # An entry that was altered is believed.
    ("journal.py", 'if hashlib.sha256(body).hexdigest().encode("ascii") != sha256:', "if not sha256:"),
]


WITHOUT_A_BUG = "without a bug"


@dataclass(frozen=True)
class Outcome:
    """What pytest said of one copy of the package."""

    code: int
    output: str


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    """What the tests say of each copy; all are run by one program, which imports pytest once."""
    folder = tmp_path_factory.mktemp("mutations")
    copies = {WITHOUT_A_BUG: copied(folder / "right")}
    tests: list[tuple[str, ...]] = [EDITING + WRITING]
    for number, (file, right, wrong) in enumerate(MUTATIONS):
        copies[name_of(file, wrong)] = copy = copied(folder / str(number))
        path = copy / "runbook" / "files" / file
        source = path.read_text("utf-8")
        assert source.count(right) == 1, name_of(file, wrong)
        path.write_text(source.replace(right, wrong), "utf-8")
        tests.append(WRITING if file in WRITERS else EDITING)
    named = [
        [str(copy), *(str(Path(__file__).with_name(name)) for name in names)]
        for copy, names in zip(copies.values(), tests, strict=True)
    ]
    done = subprocess.run(
        [sys.executable, Path(__file__).with_name("mutated.py")],
        input=json.dumps(named),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=True,
    )
    return {name: Outcome(*found) for name, found in zip(copies, json.loads(done.stdout), strict=True)}


def copied(folder: Path) -> Path:
    """Copy what the editors are into a folder, which goes before all others on the path."""
    modules = ("errors", "invocation", "locks", "platforms", "private_paths", "shell", "wording", "__init__")
    for name in ("files", *(f"{module}.py" for module in modules)):
        source, goal = ROOT / "runbook" / name, folder / "runbook" / name
        if source.is_dir():
            shutil.copytree(source, goal, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.is_file():
            goal.parent.mkdir(exist_ok=True, parents=True)
            shutil.copy(source, goal)
    return folder


def name_of(file: str, wrong: str) -> str:
    return f"{file}:{wrong[:40]}"


def test_a_copy_without_a_bug_passes(outcomes: dict[str, Outcome]) -> None:
    """The control: what fails below fails by its bug."""
    found = outcomes[WITHOUT_A_BUG]
    assert found.code == 0, found.output


@pytest.mark.parametrize("name", [name_of(file, wrong) for file, _, wrong in MUTATIONS])
def test_a_bug_is_caught(outcomes: dict[str, Outcome], name: str) -> None:
    """At least one of the fast tests fails, and by an assertion or an error of the code, not of the test run."""
    found = outcomes[name]
    assert found.code == 1, found.output
    assert "FAILED" in found.output
