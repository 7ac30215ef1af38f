"""The command line: Invoke's program with this project's exit codes, and three parts for every mistake."""

import re
import sys
from collections.abc import Callable
from difflib import get_close_matches
from typing import Final, NoReturn

from invoke import Collection, ParseError, Program
from invoke.parser.argument import Argument

from runbook.errors import RunbookError, UsageError
from runbook.invocation import inv, program
from runbook.shell import joined

_HEEDED: Final = frozenset(
    {"complete", "dry", "help", "list", "list-depth", "list-format", "print-completion-script", "version"}
)
"""Invoke's own options that mean something here; any other is refused: it would be offered and not heeded."""

_NEEDS_VALUE: Final = re.compile(r"^Flag .*Argument: ([\w-]+).*needed value")
_DRY: Final = frozenset({"setup"})
_ONE_DOCUMENT: Final = "json"


class RunbookProgram(Program):
    """Invoke's program for the tasks of tasks.py."""

    def core_args(self) -> list[Argument]:
        """Return Invoke's own options; `--dry` is the dry run of setup."""
        arguments: list[Argument] = super().core_args()
        for argument in arguments:
            if argument.name == "dry":
                argument.help = "The same as setup --dry-run."
        return arguments

    def run(self, argv: list[str] | None = None, exit: bool = True) -> None:  # noqa: A002 - Invoke's
        """Run the tasks that the command line names, in order; the first that does not end with 0 is the last."""
        try:
            super().run(argv, exit)
        except RunbookError as error:
            sys.exit(_shown(error))

    def create_config(self) -> None:
        """Read no settings file of Invoke's: what it sets would mean nothing here, and the home may be unreadable."""
        self.config = self.config_class(lazy=True)

    def parse_core(self, argv: list[str] | None) -> None:
        """Refuse what Invoke would offer and this program would not heed. Raises UsageError."""
        self._as_usage(lambda: super(RunbookProgram, self).parse_core(argv))
        self._refuse_unheeded()

    def parse_tasks(self) -> None:
        """Say what was not understood, where, and what is nearest to it. Raises UsageError."""
        self._as_usage(super().parse_tasks)
        self._refuse_unheeded()
        if self.args.dry.value:
            self._dry()
        documents = [task for task in self.tasks if _ONE_DOCUMENT in task.args and task.args[_ONE_DOCUMENT].value]
        if documents and len(self.tasks) > 1:
            names = " ".join(str(task.name) for task in self.tasks)
            raise UsageError(
                "--json prints one document, and more than one command was given",
                where=f"command line: {names}",
                fix=f"one after the other: {inv(f'{documents[0].name} --json')}",
            )

    def parse_cleanup(self) -> None:
        """List, help and completion; a misspelt command gets the nearest names. Raises UsageError."""
        self._as_usage(super().parse_cleanup)

    def print_help(self) -> None:
        """Print how a command is called, the options that count for all of them, and the commands."""
        print(f"Usage: {program()} COMMAND [--options] [COMMAND ...]\n")
        print(f"{program()} --help COMMAND shows its options.")
        print("Several commands run in order, until one fails.\n")
        self.list_tasks()

    def print_task_help(self, name: str) -> None:
        """Print what a command does, and its options."""
        tuples = self.parser.contexts[name].help_tuples()
        positional = "".join(f" {one.name.upper()}" for one in self.parser.contexts[name].positional_args)
        print(f"Usage: {program()} {name}{positional}{' [--options]' if tuples else ''}\n")
        print(f"  {(self.collection[name].__doc__ or '').strip()}\n")
        if tuples:
            print("Options:")
            self.print_columns(tuples)

    def _as_usage(self, parse: Callable[[], None]) -> None:
        try:
            parse()
        except ParseError as error:
            raise self._mistake(str(error)) from None

    def _refuse_unheeded(self) -> None:
        for name, argument in self.args.items():
            if name not in _HEEDED and argument.value != argument.default and argument.value is not None:
                raise UsageError(
                    f"--{name} is an option of Invoke that means nothing here",
                    where=f"command line: {joined(self.argv[1:])}",
                    fix=f"leave it out; {inv('--help')} shows what there is",
                )

    def _dry(self) -> None:
        for task in self.tasks:
            if task.name not in _DRY:
                raise UsageError(
                    f"--dry: there is no dry run of {task.name}",
                    where=f"command line: {joined(self.argv[1:])}",
                    fix=inv("setup --dry-run"),
                )
            task.args["dry-run"].value = True

    def _mistake(self, said: str) -> UsageError:
        """Return Invoke's complaint in three parts, with the nearest names of what it did not know."""
        where = f"command line: {joined(self.argv[1:])}"
        unknown = said.removeprefix("No idea what '").removesuffix("' is!")
        if without := _NEEDS_VALUE.search(said):
            flag = f"--{without[1]}"
            return UsageError(f"{flag} needs a value", where=where, fix=f"{flag} VALUE, or leave it out")
        if unknown == said:
            return UsageError(said, where=where, fix=f"{inv('--list')}, or {inv('--help')} COMMAND")
        if unknown.startswith("-"):
            known = sorted({f"--{flag}" for flag in self._options()})
            near = get_close_matches(unknown, known, n=3)
            fix = f"did you mean {' or '.join(near)}? " if near else ""
            return UsageError(
                f"There is no option {unknown}", where=where, fix=f"{fix}{inv('--help')} COMMAND shows them"
            )
        near = get_close_matches(unknown, sorted(self.collection.task_names), n=3)
        fix = f"did you mean {' or '.join(inv(name) for name in near)}? " if near else ""
        return UsageError(f"There is no command {unknown!r}", where=where, fix=f"{fix}{inv('--list')} shows them all")

    def _options(self) -> set[str]:
        """Return the options of the commands that were named; of all, where none is known."""
        contexts = self.collection.to_contexts()
        named = [context for context in contexts if context.name in self.argv] or contexts
        return {name for context in named for argument in context.args.values() for name in argument.names}


def program_of(namespace: Collection, *, version: str) -> RunbookProgram:
    """Return the program of these tasks."""
    return RunbookProgram(
        name="crm-events-runbook",
        binary="inv",
        binary_names=["inv", "crm-runbook"],
        namespace=namespace,
        version=version,
    )


def _shown(error: RunbookError) -> int:
    """Show a mistake on the command line as every error is shown, and return its exit code."""
    from runbook.commands.execute import execute
    from runbook.console.screen import NO_COMMAND

    def refused(_context: object) -> NoReturn:
        raise error

    return execute(NO_COMMAND, refused, json="--json" in sys.argv, is_recorded=False)
