"""The command line of a benchmark."""

import argparse
from typing import NoReturn

EXIT_USAGE = 4


class Parser(argparse.ArgumentParser):
    """Keeps the lines of its texts, and leaves with the project's exit code where argparse has 2."""

    def __init__(self, *, prog: str, description: str | None, epilog: str) -> None:
        super().__init__(
            prog=prog,
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        """Leave with one line."""
        self.exit(EXIT_USAGE, f"{self.prog}: {message}\n")
