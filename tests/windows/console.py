"""What a command prints at an old console of Windows: 80 columns, code page 1252."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.windows.interpreter import ROOT, WindowsPython, windows_path

COLUMNS: Final = 80
_CODE_PAGE: Final = "cp1252"
_TASK_S: Final = 300
# Escapes in the place of characters, UTF-8 that was read as another code page, and what stands for lost characters.
_WRONG: Final = re.compile(
    r"\\u[0-9a-f]{4}|\\x[0-9a-f]{2}|\\N\{|â€|â”|âœ|Ã.|\ufffd|\?\?|\x1b|Traceback|defect of this tool"
)
# Lines of a diff, and a path that is printed to be copied, are never broken.
_LONG: Final = re.compile(r"[-+ @]|.*[A-Z]:\\")


@dataclass(frozen=True, slots=True)
class Shown:
    """The exit code, and the text of both streams."""

    code: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Console:
    """Somebody at such a console, in `directory`, with settings in the environment."""

    windows: WindowsPython
    directory: Path
    settings: dict[str, str] = field(default_factory=dict)

    def inv(self, *arguments: str) -> Shown:
        """Give a command, and return what it showed; fails where that is not what was meant to be seen."""
        variables = {
            "PYTHONIOENCODING": _CODE_PAGE,
            "COLUMNS": str(COLUMNS),
            "PYTHONPATH": windows_path(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.settings,
        }
        command: tuple[str | Path, ...] = (self.windows.python, "-m", "runbook", *arguments)
        done = self.windows.run(command, directory=self.directory, variables=variables, timeout_s=_TASK_S)
        text = (done.stdout + done.stderr).decode(_CODE_PAGE).replace("\r\n", "\n")
        assert wrongly_shown(text) == [], text
        return Shown(done.returncode, text)


def wrongly_shown(text: str) -> list[str]:
    """Return the lines in which something is not as it was meant, or that are too long for the screen."""
    return [
        line for line in text.splitlines() if _WRONG.search(line) or (len(line) > COLUMNS and not _LONG.match(line))
    ]
