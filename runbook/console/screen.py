"""The operator's screen: what a task tells while it runs, its result, and the questions it asks."""

import codecs
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Final, TextIO

from rich.console import Console, Group, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from runbook.console.document import json_text
from runbook.console.views import diff_view, ending_view, line_view, note_view, problem_view, step_view
from runbook.errors import UsageError
from runbook.model import CommandResult, Line, StepResult
from runbook.platforms import reader_has_gone
from runbook.wording import visible, visible_line

_TOLERANT: Final = "runbook.console.tolerant"
_IN_ASCII: Final = (
    {"…": "...", "→": "->", "←": "<-", "✓": "+", "✗": "x", "•": "*", "\N{EN DASH}": "-", "—": "-"}
    | dict.fromkeys("─━═╌╸╺", "-")
    | dict.fromkeys("│┃║", "|")
    | dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╯╰╡╞╪", "+")
)
NO_COMMAND = "inv"
"""The name of a result that no command made: the command line itself was not understood."""


class Screen:
    """An Observer that shows a task to a human, and its result to whoever asked for it.

    `console` is for the human. `documents` is where the JSON document goes, None without `--json`.
    """

    def __init__(
        self,
        console: Console,
        *,
        errors: Console | None = None,
        documents: TextIO | None = None,
        answers: TextIO | None = None,
        yes: bool = False,
    ) -> None:
        """Take the outputs, the input that answers questions (sys.stdin), and whether `--yes` was given.

        `errors` is where problems are shown; without it, where everything else is.
        """
        self._console = console
        self._errors = errors or console
        self._documents = documents
        self._answers = answers or sys.stdin
        self._yes = yes
        self._live: Progress | None = None
        self._bar: TaskID | None = None

    def begins(self, step: str, number: int) -> None:
        """Print the step; on a terminal a spinner with the time so far follows until it ends."""
        self._rest()
        name = visible_line(step)
        self._print(Text.assemble((f"{number:>3}  ", "dim"), (name, "bold")))
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = _spinner(self._console)
            self._bar = self._live.add_task(name, total=None)
            self._live.start()

    def progresses(self, what: str, done: int, total: int) -> None:
        """Move the bar; in a pipe print the end of the count only."""
        if self._live is not None and self._bar is not None:
            self._live.update(self._bar, description=visible_line(what), completed=done, total=total)
        elif done == total:
            self._print(note_view(f"{visible_line(what)}: {done} of {total}"))

    def shows_diff(self, diff: str) -> None:
        """Print the plan as a coloured diff."""
        self._print(diff_view(diff))

    def says(self, text: str) -> None:
        """Print a line that the operator wants now."""
        self._print(note_view(text))

    def warns(self, text: str) -> None:
        """Print a line that the operator wants now on standard error: it is not part of what was asked for."""
        self._print(note_view(text), on=self._errors)

    def ends(self, result: StepResult) -> None:
        """Print how the step ended."""
        self._rest()
        self._print(step_view(result))

    def shows(
        self, result: CommandResult, views: Iterable[RenderableType] = (), *, run_folder: Path | None = None
    ) -> None:
        """Print the end of a command, its own fields as `views`.

        With `--json` its document goes to the other output, exactly once.
        """
        self._rest()
        for view in views:
            self._print("")
            self._print(view)
        if result.problem is not None:
            self._print("", on=self._errors)
            self._print(problem_view(result.problem), on=self._errors)
        if result.task != NO_COMMAND:
            self._print("")
            self._print(ending_view(result, run_folder=str(run_folder or "")))
        if self._documents is not None:
            _write(self._documents, json_text(result) + "\n")

    def shows_line(self, line: Line) -> None:
        """Print one line of a log that is being followed."""
        self._rest()
        self._print(line_view(line))

    def confirm(self, question: str) -> bool:
        """Ask, and return whether the answer was yes. Raises UsageError where nobody can answer."""
        if self._yes:
            return True
        if not (self._console.is_terminal and self._answers.isatty()):
            raise UsageError(
                f"This needs an answer, and there is no terminal to ask on: {question}",
                where="standard input",
                fix="add --yes if the answer is yes",
            )
        self._rest()
        try:
            answer = self._console.input(Text(f"{visible(question)} [y/N] "), stream=self._answers)
        except EOFError:  # Ctrl-D
            answer = ""
        return answer.strip().lower() in {"y", "yes"}

    def _print(self, what: RenderableType, *, on: Console | None = None) -> None:
        """Print; what must stay in one piece (a command, a line of a log) runs over the width instead of being cut."""
        console = on or self._console
        whole = Group(what)  # a bare Text would lose its `no_wrap`
        if console.is_terminal:
            console.print(whole, crop=False)
            return
        with console.capture() as captured:
            console.print(whole, crop=False)
        # A terminal never shows the spaces that pad a line to its width; a file would keep them.
        lines = captured.get().split("\n")[:-1]
        _write(console.file, "".join(f"{line.rstrip(' ')}\n" for line in lines))

    def _rest(self) -> None:
        if self._live is not None:
            self._live.stop()
        self._live = self._bar = None


def make_screen(*, json: bool = False, yes: bool = False, apart: bool = False) -> Screen:
    """Return the screen of this process: problems on standard error, the rest on standard output.

    With `--json`, only the document is on standard output; `apart` keeps it free for what the command prints itself.
    """
    for stream in (sys.stdout, sys.stderr):
        _make_tolerant(stream)
    errors = Console(stderr=True, markup=False, emoji=False, highlight=False)
    console = errors if json or apart else Console(markup=False, emoji=False, highlight=False)
    return Screen(console, errors=errors, documents=sys.stdout if json else None, yes=yes)


def _spinner(console: Console) -> Progress:
    """Return a transient line: a spinner, and a bar once something is counted."""
    return Progress(
        TextColumn("    "),
        SpinnerColumn("line" if console.options.ascii_only else "dots"),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )


def _write(stream: IO[str], text: str) -> None:
    """Write at once. A reader that has gone (`| head`) ends the showing, never the task in the middle of a change."""
    try:
        stream.write(text)
        stream.flush()
    except OSError as error:
        if not reader_has_gone(error):
            raise
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _make_tolerant(stream: TextIO) -> None:
    """Let a terminal that is not UTF-8 show other characters instead of ending the run with an encoding error."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        codecs.register_error(_TOLERANT, _shown_otherwise)
        reconfigure(errors=_TOLERANT)


def _shown_otherwise(error: UnicodeError) -> tuple[str, int]:
    """Return what stands for characters that an encoding lacks: ASCII for those of this tool, else an escape."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(_IN_ASCII.get(char) or _escaped(char) for char in lacking), error.end


def _escaped(char: str) -> str:
    return char.encode("ascii", "backslashreplace").decode("ascii")
