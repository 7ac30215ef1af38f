"""What --only names: refused with the nearest names if there is no such test."""

import ast
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from pathlib import Path

from runbook.errors import UsageError
from runbook.invocation import inv
from tests.lint import ROOT


def refuse_unknown(chosen: Sequence[str]) -> None:
    """Raise UsageError for the first file, folder or `file::test` that does not exist."""
    for one in chosen:
        name, _, test = one.partition("::")
        path = ROOT / name
        if not path.exists():
            raise _unknown(one, path, _nearest_paths(name))
        test_name = test.rpartition("::")[2].partition("[")[0]
        if test and test_name not in (known := tuple(_tests(path))):
            near = get_close_matches(test_name, known, n=3)
            raise _unknown(one, path, [f"{name}::{test_name}" for test_name in near])


def _unknown(chosen: str, path: Path, nearest: Sequence[str]) -> UsageError:
    fix = " or ".join(inv(f"test --only {name}") for name in nearest)
    return UsageError(
        f"There is no test {chosen}",
        where=str(path),
        fix=f"did you mean {fix}?" if fix else "name a file or folder of tests/, or file::test",
    )


def _nearest_paths(name: str) -> list[str]:
    """Return the files and folders of tests/ whose own name is near to this one's."""
    folder = ROOT / "tests"
    known = {path for path in (*folder.rglob("test_*.py"), *folder.iterdir()) if _holds_tests(path)}
    names = get_close_matches(Path(name).stem, {path.stem for path in known}, n=3, cutoff=0.7)
    return [str(path.relative_to(ROOT)) for name in names for path in sorted(known) if path.stem == name]


def _holds_tests(path: Path) -> bool:
    return path.name.startswith("test_") or any(path.glob("test_*.py"))


def _tests(path: Path) -> Iterator[str]:
    """Yield the names of the test functions of a file."""
    if path.is_file():
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                yield node.name
