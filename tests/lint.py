"""Style, types, import contracts, and the generated parts of the documents: `python -m tests.lint`."""

import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PRODUCT: Final = ("runbook", "sink", "tasks.py")
ELSEWHERE: Final = ("win32", "darwin")
"""Systems whose mypy finds what they do not have: `os.geteuid`, `signal.SIGSTOP`."""
CHECKS: Final = (
    ("-m", "ruff", "check", "."),
    ("-m", "ruff", "format", "--check", "."),
    ("-m", "mypy"),
    *(("-m", "mypy", "--platform", other, "--cache-dir", f".mypy_cache/{other}", *PRODUCT) for other in ELSEWHERE),
    ("-c", "from importlinter.cli import lint_imports_command as check; check()"),
    ("-m", "docs.generated", "--check"),
)


def failed_checks() -> int:
    """Run every check, whatever the others say, and return how many failed."""
    return sum(
        subprocess.run([sys.executable, *check], cwd=ROOT, stdin=subprocess.DEVNULL, check=False).returncode != 0
        for check in CHECKS
    )


if __name__ == "__main__":
    sys.exit(min(1, failed_checks()))
