"""Build the images of the stack in containers, and print the variables that name them, one NAME=VALUE a line.

    .venv/bin/python -m tests.images >images.env && env $(cat images.env) ./inv stack.up --docker

What is unchanged is not built again. Progress goes to standard error.
"""

import argparse
import sys

from runbook.errors import RunbookError
from runbook.local_stack.real import REAL

from .build import built_images


def main() -> int:
    """Return the exit code: 0, or that of the error."""
    summary, usage, *_ = str(__doc__).split("\n\n")
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("python -m tests.images", description=summary, epilog=usage, formatter_class=form)
    names = ", ".join(sorted(REAL))
    help_ = f"parts that the real program plays instead of a stand-in: {names}"
    parser.add_argument("--real", nargs="+", default=[], choices=sorted(REAL), metavar="PART", help=help_)
    wanted = parser.parse_args()
    try:
        variables = built_images(lambda text: print(text, file=sys.stderr), wanted.real)
    except RunbookError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    for name, value in variables.items():
        print(f"{name}={value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
