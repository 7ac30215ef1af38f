"""The program `inv`, also called `crm-runbook`: the tasks of tasks.py, interruptible from the first moment on."""

import os
import sys
from pathlib import Path

from runbook.interrupts import become_interruptible
from runbook.invocation import called_as


def main() -> None:
    """Run the tasks that the command line names."""
    become_interruptible()
    called_as(_typed())
    try:
        from tasks import program  # Invoke takes a tenth of a second; Ctrl-C counts before it is there

        program.run()
    except BrokenPipeError:  # the reader of a list or a help has gone, as `| head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _typed() -> str:
    """Return the program's name as it was typed."""
    name = Path(sys.argv[0]).name
    return "inv" if name == "__main__.py" else name.removesuffix(".exe")


if __name__ == "__main__":
    main()
