"""The screen at 80 columns, in a pipe, on a dumb terminal, and with text that means harm."""

import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from runbook.console import Screen
from runbook.errors import UsageError
from runbook.model import Created, HopSight, Ledger, LedgerRow, Line, Problem, StepResult
from tests.everything import Everything, views
from tests.schema import validate

GOLDEN = Path(__file__).parent / "golden"
ROOT = Path(__file__).parents[2]
ESC = "\x1b"
COLOUR = re.compile(r"\x1b\[(?:\d+;)*[349]\d[;m]")
CHILD = """
import sys
from runbook.console import make_screen
from runbook.model import StepResult
screen = make_screen()
screen.begins("plan", 1)
screen.progresses("leads", 1, 2)
screen.says("Wörter 🙂 \\udc80")
screen.shows_diff("+ new\\n- old")
screen.ends(StepResult(step="plan", number=1, outcome="changed", reason="2 panels", duration_s=0.2))
print("reached the end", file=sys.stderr)
"""


@pytest.fixture
def out() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def screen(out: io.StringIO) -> Screen:
    """A screen of 80 columns in a pipe."""
    return Screen(Console(file=out, width=80, markup=False, emoji=False, highlight=False))


def show(screen: Screen, result: Everything, *, run_folder: Path | None = None) -> None:
    screen.shows(result, views(result), run_folder=run_folder)


@pytest.mark.parametrize("name", ["healthy", "failing", "listing"])
def test_the_end_of_a_task(name: str, screen: Screen, out: io.StringIO, request: pytest.FixtureRequest) -> None:
    """What an operator reads at 80 columns is exactly the golden file."""
    show(screen, request.getfixturevalue(name), run_folder=Path(".runbook/runs/20251103-194851-ab12"))

    golden = (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")
    assert golden.replace(".runbook/runs/", f".runbook{os.sep}runs{os.sep}") == out.getvalue()


def test_a_task_at_work(screen: Screen, out: io.StringIO) -> None:
    """In a pipe every step begins and ends with a line, and a count is told when it is complete."""
    screen.begins("plan", 1)
    screen.shows_diff("--- a\n+++ b\n@@ -1 +1 @@\n-\ufeff{\n+{\n")
    screen.ends(StepResult(step="plan", number=1, outcome="unchanged", reason="already there", duration_s=0.25))
    screen.begins("leads", 4)
    for done in range(1, 6):
        screen.progresses("leads sent", done, 5)
    screen.says("waiting for Prometheus")
    screen.ends(StepResult(step="leads", number=4, outcome="failed", reason="409", duration_s=61))

    expected = """\
  1  plan
--- a
+++ b
@@ -1 +1 @@
-\\ufeff{
+{
     unchanged after 250 ms: already there
  4  leads
     leads sent: 5 of 5
     waiting for Prometheus
     failed after 61.0 s: 409
"""
    assert expected == out.getvalue()


def test_the_width_holds(screen: Screen, out: io.StringIO, failing: Everything) -> None:
    """Nothing is wider than 80 columns but what must stay in one piece to be copied."""
    show(screen, failing)

    wide = [line.strip() for line in out.getvalue().splitlines() if len(line) > 80]

    assert all(line.startswith(("Fix: ", "POST http")) for line in wide)
    assert failing.verdict is not None
    assert f"     Fix: {failing.verdict.fix}\n" in out.getvalue()


def test_what_must_stay_in_one_piece(screen: Screen, out: io.StringIO) -> None:
    """A line of a diff or of a log is one line, however long; a note is broken and keeps its indent."""
    words = "word " * 30
    screen.shows_diff(f"+{words}\n+next")
    screen.shows_line(Line(text=words))
    screen.says(words)

    lines = out.getvalue().splitlines()
    assert lines[:3] == [f"+{words.rstrip()}", "+next", words.rstrip()]
    assert len(lines) == 5
    assert all(line.startswith("     word") for line in lines[3:])


def test_many_rows(screen: Screen, out: io.StringIO, healthy: Everything) -> None:
    """Of a thousand rows the one that is not proven is shown, and the count of those left out."""
    assert healthy.ledger is not None
    proven = healthy.ledger.rows[0]
    lost = replace(proven, hops=(HopSight(hop="API", outcome="failed", saw="never answered"),))
    rows = tuple(_numbered(lost if number == 777 else proven, number) for number in range(1000))

    show(screen, replace(healthy, ledger=Ledger(run_id="r", rows=rows)))

    assert "999 of 1000 proven" in out.getvalue()
    assert "lead 777 (Grafana Event Test 1) at API: failed, never answered" in out.getvalue()
    assert "and 980 more" in out.getvalue()


def _numbered(row: LedgerRow, number: int) -> LedgerRow:
    created: Created = replace(row.created, id=number)
    return replace(row, created=created)


def test_a_ledger_of_traffic_alone(screen: Screen, out: io.StringIO, healthy: Everything) -> None:
    """What only the API has answered is not called proven to the panel."""
    assert healthy.ledger is not None
    rows = tuple(replace(row, hops=row.hops[:1]) for row in healthy.ledger.rows)

    show(screen, replace(healthy, ledger=Ledger(run_id="r", rows=rows)))

    assert "7 of 7 proven at API only" in out.getvalue()


HARMFUL = f"{ESC}[2J{ESC}]0;title\x07[bold red]x[/] [link=http://evil]y[/link] \u202egnp.exe :smile: \\[z] \r\x9b31m"


def test_text_from_outside_is_only_text(screen: Screen, out: io.StringIO, failing: Everything) -> None:
    """Neither rich's markup nor a terminal's escape sequences work from a log line, a label or an error body."""
    steps = (replace(failing.steps[0], reason=HARMFUL, step=HARMFUL),)
    checks = tuple(replace(check, claim=HARMFUL, hop=HARMFUL) for check in failing.checks or ())
    screen.begins(HARMFUL, 1)
    screen.says(HARMFUL)
    screen.shows_diff(HARMFUL)
    screen.ends(steps[0])
    screen.shows_line(Line(text=HARMFUL))
    problem = Problem(seen=HARMFUL, where=HARMFUL, fix=HARMFUL)
    harmful = replace(failing, steps=steps, checks=checks, problem=problem)
    show(screen, replace(harmful, task=HARMFUL, target=HARMFUL, run_id=HARMFUL))

    shown = out.getvalue()
    assert [char for char in shown if not char.isprintable() and char != "\n"] == []
    assert "\\x1b[2J\\x1b]0;title\\x07[bold red]x[/] [link=http://evil]y[/link] \\u202egnp.exe :smile: \\[z]" in shown


def test_colours_hide_nothing(failing: Everything) -> None:
    """On a colour terminal the same words appear, with styles around them and no other escape."""
    plain, coloured = io.StringIO(), io.StringIO()
    show(Screen(Console(file=plain, width=80)), failing)
    console = Console(file=coloured, width=80, force_terminal=True, color_system="standard", no_color=False)
    show(Screen(console), failing)

    assert ESC in coloured.getvalue()
    assert plain.getvalue().split() == _without_styles(coloured.getvalue()).split()


def _without_styles(text: str) -> str:
    parts = text.split(ESC + "[")
    return parts[0] + "".join(part.split("m", 1)[1] for part in parts[1:])


def test_json_is_one_document(failing: Everything) -> None:
    """With `--json` standard output holds one valid document, and the human reads on the other output."""
    human, documents = io.StringIO(), io.StringIO()
    screen = Screen(Console(file=human, width=80), documents=documents)
    screen.begins("hops", 5)
    screen.says("a note")
    screen.ends(failing.steps[0])

    show(screen, failing)

    validate(json.loads(documents.getvalue()))
    assert "a note" in human.getvalue()


def test_nobody_to_ask(screen: Screen) -> None:
    """Without a terminal a question is an error that names the option, never a guess."""
    with pytest.raises(UsageError, match="--yes"):
        screen.confirm("Write both files?")


def test_yes_was_given(out: io.StringIO) -> None:
    assert Screen(Console(file=out), yes=True).confirm("Write both files?")
    assert out.getvalue() == ""


@pytest.mark.posix("pseudo-terminals")
@pytest.mark.parametrize(
    ("typed", "expected"),
    [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("sure\n", False), ("\x04", False)],
)
def test_a_question_on_a_terminal(typed: str, expected: bool) -> None:
    """Only yes is yes; the end of input is no."""
    import pty  # noqa: PLC0415 - Windows has none, and no test there comes here

    leader, follower = pty.openpty()
    with os.fdopen(leader, "wb", buffering=0) as keyboard, os.fdopen(follower, encoding="utf-8") as answers:
        screen = Screen(Console(file=io.StringIO(), force_terminal=True), answers=answers)
        keyboard.write(typed.encode())

        assert screen.confirm("Write [both] files?") is expected


def run(code: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run code whose standard output is a terminal; return what the terminal got."""
    import pty  # noqa: PLC0415 - see above

    leader, follower = pty.openpty()
    settings = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "COLUMNS": "80", "LANG": "C.UTF-8"} | environment
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=follower, stderr=subprocess.PIPE, text=True, env=settings, check=False
    )
    os.close(follower)
    shown = b""
    while chunk := _read(leader):
        shown += chunk
    os.close(leader)
    return done, shown.decode()


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError:  # Linux: the other side of the terminal is closed
        return b""


@pytest.mark.posix("pseudo-terminals")
def test_a_dumb_terminal() -> None:
    """Neither spinner nor colour: every byte is text."""
    done, shown = run(CHILD, TERM="dumb")

    assert (done.returncode, done.stderr) == (0, "reached the end\n")
    assert ESC not in shown
    assert "changed after 200 ms: 2 panels" in shown


@pytest.mark.posix("pseudo-terminals")
@pytest.mark.parametrize(("environment", "expected"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_no_color(environment: dict[str, str], expected: bool) -> None:
    """NO_COLOR takes the colours away; bold and the spinner, which are no colours, may stay."""
    _, shown = run(CHILD, TERM="xterm-256color", **environment)

    assert bool(COLOUR.search(shown)) is expected
    assert "2 panels" in shown


@pytest.mark.posix("pseudo-terminals")
def test_a_terminal_that_is_not_utf_8() -> None:
    """An emoji in a dashboard's title must not end a setup half-way."""
    done, shown = run(CHILD, TERM="dumb", LANG="C", PYTHONIOENCODING="ascii")

    assert (done.returncode, done.stderr) == (0, "reached the end\n")
    assert r"\U0001f642" in shown


@pytest.mark.parametrize("encoding", ["cp1252", "cp850", "cp437", "ascii", "cp932"])
def test_a_console_of_a_code_page(encoding: str) -> None:
    """Our own characters, and those of tables, become ASCII where the code page lacks them: no escape of ours is seen.

    What comes from outside is shown where the page has it, else escaped: a name that was changed would lead nowhere.
    """
    code = """
import sys
from rich.table import Table
from runbook.console import make_screen
screen = make_screen()
screen.says("cut off\u2026 -> a \u2192 b \u2713 \u2500\u2502\u250c")
screen.says("\u65e5")
table = Table("topic", "lag", width=20)
table.add_row("leads of a long name that is cut", "1")
screen._print(table)
"""
    environment = {"PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "COLUMNS": "80"} | _of_the_system()
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment, check=False)

    shown = done.stdout.decode(encoding)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [word for word in re.findall(r"\\[ux][0-9a-f]+", shown) if word != r"\u65e5"] == []
    assert ("\u65e5" if encoding == "cp932" else r"\u65e5") in shown
    assert re.search(r"cut off(\.\.\.|\u2026) -> a (->|\u2192) b (\+|\u2713)", shown)


def _of_the_system() -> dict[str, str]:
    """Return the variables without which Windows starts no program."""
    return {name: os.environ[name] for name in ("SYSTEMROOT", "PATH") if name in os.environ}


def test_a_reader_that_has_gone() -> None:
    """`inv setup | head -1` ends the showing, not the setup."""
    reader, writer = os.pipe()
    os.close(reader)
    environment = {"PYTHONPATH": str(ROOT)} | _of_the_system()
    done = subprocess.run(
        [sys.executable, "-c", CHILD], stdout=writer, stderr=subprocess.PIPE, text=True, env=environment, check=False
    )
    os.close(writer)

    assert (done.returncode, done.stderr) == (0, "reached the end\n")


def test_listing_of_nothing(screen: Screen, out: io.StringIO, healthy: Everything) -> None:
    """What was looked for and not found is said in words."""
    bare = replace(healthy, criteria=None, ledger=None)
    show(screen, replace(bare, parts=(), runs=(), silences=()))

    for words in ("The local stack is not up.", "No runs so far.", "No silence."):
        assert words in out.getvalue()
