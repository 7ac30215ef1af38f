"""A program that gives every command of the runbook, with and without `--json`, in its working directory.

What they print is its own output. The command lines of the processes that they start, and what they hand to a browser,
are written to the file that is its first argument; the second names the way in which it is broken on purpose, if any.
"""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import requests

from runbook.systems import http, http_answer, settings_group
from runbook.systems.addresses import Address
from runbook.systems.kafka.client import Kafka

TARGET: Final = "canary"
COMMANDS: Final = (
    "init --check",
    "init --print",
    "init --dry-run",
    "setup --yes --timeout 0.3",
    "setup --dry-run",
    "traffic --yes --leads 1 --jobs 1 --timeout 0.3",
    "verify --timeout 0.3",
    "troubleshoot --timeout 3",
    "run --yes --leads 1 --jobs 0 --timeout 0.3",
    "rollback --yes --timeout 0.3",
    "silence --reason canary",
    "unsilence",
    "metrics",
    "logs",
    "open",
)
WITHOUT_TARGET: Final = ("report", "history", "stack.status")
_KAFKA_S: Final = 0.5  # there is no broker: the clients would wait five seconds for it in each command
_SPAWNS: Final = ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "webbrowser.open")


def unsplit() -> None:
    """Leave user, password and query in the addresses, as once."""
    settings_group.split_address = lambda written: Address(plain=written)  # type: ignore[attr-defined]


def unredacted() -> None:
    """Quote answers as they come."""
    for module in (http, http_answer):
        module.redacted = lambda text, _secrets: text  # type: ignore[attr-defined]


def unforeseen() -> None:
    """Let every request fail with an exception that nobody foresaw, and that quotes the address."""

    def fails(_self: requests.Session, method: str, url: str, **_: object) -> requests.Response:
        raise ZeroDivisionError(f"{method} {url}")

    requests.Session.request = fails  # type: ignore[method-assign,assignment]


WAYS: Final[Mapping[str, Callable[[], None]]] = {
    "unsplit": unsplit,
    "unredacted": unredacted,
    "unforeseen": unforeseen,
}


def main(processes: Path, way: str) -> None:
    """Give the commands one by one; none of them may end this program."""
    Kafka.__init__.__defaults__ = (_KAFKA_S,)
    if way:
        WAYS[way]()
    with processes.open("w", encoding="utf-8") as file:

        def note(event: str, arguments: tuple[Any, ...]) -> None:
            if event in _SPAWNS and not file.closed:
                shown = arguments[:2]  # the program and its arguments: others can read them, not the environment
                print(event, *shown, sep="\t", file=file, flush=True)

        sys.addaudithook(note)
        targeted = [f"{command} --target {TARGET}" for command in COMMANDS]
        for command in (*targeted, *WITHOUT_TARGET):
            for option in ("", " --json"):
                _give(f"{command}{option}".split())


def _give(arguments: list[str]) -> None:
    from tasks import program

    sys.argv = ["inv", *arguments]
    print("$", *sys.argv, flush=True)
    try:
        program.run(sys.argv, exit=False)
    except SystemExit as ended:
        print("ended with", ended.code, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
