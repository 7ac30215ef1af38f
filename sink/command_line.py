"""The command line of `crm-events-sink`: its options, its help, and the errors for a wrong argument."""

import argparse
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from textwrap import TextWrapper
from typing import Final, NoReturn

from sink.variables import VARIABLES

EXIT_PROBLEM: Final = 1
EXIT_USAGE: Final = 4  # also for settings

_PROGRAM: Final = "crm-events-sink"
_DESCRIPTION: Final = """\
The CRM Events Sink reads the events of created leads and jobs from Kafka,
counts each exactly once, writes a log line for it, and serves the counts to
Prometheus.

Without a command it starts the service, which runs until SIGTERM or SIGINT.
Environment variables configure it.
"""
_EPILOG: Final = """\
environment variables:
{variables}

{secrets}

exit codes:
  0 stopped by a signal, or done; 1 a problem, which stderr names; 4 a wrong
  argument or variable; 130, 143 ended by a second SIGINT, SIGTERM
"""
_JOURNAL: Final = """\
Reads the journal that SINK_JOURNAL or POSTGRES_DSN names, and changes nothing.
The service may be running meanwhile.

exit codes: 0 done; 1 a problem, or (verify) sums that do not agree; 4 a wrong
argument or variable
"""
_NAMED: Final = re.compile(r"(?:invalid choice: '|unrecognized arguments: )([^'\s]+)")


# People try --prom-port for PROM_PORT.
_AS_OPTIONS: Final = {f"--{v.name.lower().replace('_', '-')}": f"the variable {v.name}" for v in VARIABLES}


class _UsageError(Exception):
    """What argparse says of an argument, and the command lines that exist, by their last word."""

    def __init__(self, message: str, parser: argparse.ArgumentParser) -> None:
        super().__init__(message)
        self.help_command = f"{parser.prog} --help"
        self.commands = dict(reversed(list(_commands(parser))))  # the shortest command line of a word wins

    def explained(self, arguments: Sequence[str]) -> str:
        """Return what was seen, where, and what to do."""
        options = [word.partition("=")[0] for word in arguments if word.startswith("-")]
        unknown = next((option for option in options if option not in self.commands), "")
        named = _NAMED.search(str(self))
        word = unknown or (named[1] if named else "")
        is_value = not unknown and str(self).startswith("argument -")
        seen = str(self) if is_value or not word else f"unknown argument {word!r}"
        candidates = self.commands | (_AS_OPTIONS if word.startswith("--") else {})
        nearest = [candidates[name] for name in get_close_matches(word, candidates, n=2)]
        fix = " or ".join(dict.fromkeys([*nearest, self.help_command]))
        return f"{_PROGRAM}: {seen}\nin the command: {shlex.join([_PROGRAM, *arguments])}\nFix: {fix}\n"


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: object) -> None:
        super().__init__(
            **options,  # type: ignore[arg-type]  # argparse's own, passed on
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )

    def error(self, message: str) -> NoReturn:
        raise _UsageError(message, self)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options: `command` is None or "journal", `task` the journal's command.

    Raises SystemExit: 0 after --help, 4 after a wrong argument.
    """
    try:
        return _parser().parse_args(arguments)
    except _UsageError as error:
        sys.stderr.write(error.explained(arguments))
        raise SystemExit(EXIT_USAGE) from None


def _parser() -> argparse.ArgumentParser:
    epilog = _EPILOG.format(variables=_variables(), secrets=_secrets())
    parser = _Parser(prog=_PROGRAM, usage="%(prog)s [-h] [COMMAND ...]", description=_DESCRIPTION, epilog=epilog)
    commands = parser.add_subparsers(dest="command", title="commands", metavar="COMMAND", prog=_PROGRAM)
    summary = "show, verify or export what the journal stores"
    journal = commands.add_parser("journal", help=summary, description=_JOURNAL)
    tasks = journal.add_subparsers(dest="task", title="commands", metavar="COMMAND", required=True)
    tasks.add_parser("show", help="positions, counts and stored messages")
    verify = tasks.add_parser("verify", help="check that the sums agree")
    verify.add_argument(
        "--metrics", metavar="URL", help="compare with the sink's counters: http://127.0.0.1:9105/metrics"
    )
    export = tasks.add_parser("export", help="stored messages, oldest first")
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl", help="default: %(default)s")
    export.add_argument("--lead", metavar="ID", help="only the events of this lead and of its jobs")
    export.add_argument("--tenant", metavar="ID", help="only the events of this tenant")
    return parser


def _variables() -> str:
    """Return the table of the variables: name, meaning and default."""
    column = max(len(variable.name) for variable in VARIABLES) + 4
    defaults = {variable: f" (default:\xa0{variable.default})" if variable.default else "" for variable in VARIABLES}
    rows = [f"  {v.name:<{column - 2}}{v.meaning}{default}" for v, default in defaults.items()]
    return "\n".join(_wrapped(row, column) for row in rows).replace("\xa0", " ")


def _secrets() -> str:
    names = ", ".join(variable.name for variable in VARIABLES if variable.is_secret)
    return _wrapped(f"  {names} and the secrets among KAFKA_* may also come from a file: NAME_FILE is its path.", 2)


def _wrapped(text: str, indent: int) -> str:
    """Wrap a text to the width of the terminal, as argparse does."""
    width = shutil.get_terminal_size().columns - 2
    wrapper = TextWrapper(width=width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False)
    return wrapper.fill(text)


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Return every word that the parser and its commands know, with the command line that it belongs to."""
    for action in parser._actions:  # noqa: SLF001  # argparse lists them nowhere else
        for option in action.option_strings:
            yield option, f"{parser.prog} {option}"
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # the same
            for name, command in action.choices.items():
                yield name, command.prog
                yield from _commands(command)
        elif action.choices:
            yield from ((choice, f"{parser.prog} {action.option_strings[0]} {choice}") for choice in action.choices)
