"""Starts a program, says its id on standard output, and stays to write down its exit code; where there is no shell.

`python keeper.py LOG EXIT_FILE PROGRAM ARGUMENT...`, of the standard library alone: it is started without any other.
"""

import os
import subprocess
import sys
from pathlib import Path

_NOT_STARTED = 127  # as a shell says it


def main(log: str, exit_file: str, *command: str) -> None:
    """Run the command to its end."""
    with Path(log).open("ab") as output:
        output.seek(0, os.SEEK_END)  # Windows hands the place on, and not that it is for appending
        try:
            program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        except OSError as error:
            output.write(f"{command[0]}: {error.strerror}\n".encode())
            program = None
    sys.stdout.write(f"{program.pid if program else os.getpid()}\n")
    sys.stdout.close()  # `start` waits for it
    code = program.wait() if program else _NOT_STARTED
    Path(exit_file).write_text(str(code if code >= 0 else 128 - code), encoding="ascii")


if __name__ == "__main__":
    main(*sys.argv[1:])
