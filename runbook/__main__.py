"""The program `inv`, also called `crm-runbook`: the tasks of tasks.py, interruptible from the first moment on."""

import os
import shutil
import sys
from pathlib import Path

from runbook.interrupts import become_interruptible
from runbook.invocation import called_as
from runbook.platforms import reader_has_gone


def main() -> None:
    """Run the tasks that the command line names."""
    become_interruptible()
    called_as(_typed())
    try:
        from tasks import program  # Invoke takes a tenth of a second; Ctrl-C counts before it is there

        try:
            program.run()
        finally:
            sys.stdout.flush()  # at its exit Python would print a trace of what could not be written
    except OSError as error:
        if not reader_has_gone(error):
            raise
        # The reader of a list or a help has gone, as `| head` does.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _typed() -> str:
    """Return the program as it can be typed again: by its name if that leads to it, else by its path."""
    path = Path(sys.argv[0])
    if path.name == "__main__.py":
        return "inv"
    found = shutil.which(path.stem)
    if found and Path(found).resolve().with_suffix("") == path.resolve().with_suffix(""):  # .exe on Windows
        return path.stem
    return str(path)


if __name__ == "__main__":
    main()
