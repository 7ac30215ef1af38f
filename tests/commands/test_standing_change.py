"""Which run a rollback takes back, against a model of what really happened to the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbook.commands.apply.steps import RECOVERED
from runbook.commands.rollback.standing_change import UNDOES, StandingChange
from runbook.runs.run_log import REPLACES, RunEvent

EPOCH = datetime(2025, 11, 3, tzinfo=UTC)
ENDS = ["written", "failed", "put back", "killed, undone", "killed, completed"]


@dataclass
class World:
    """Two files, the runs that worked on them, and the truth: for each file, the runs whose change stands on it.

    A file holds a text of its own after each change; the text stands for its hash.
    """

    holds: dict[str, str] = field(default_factory=lambda: {"d": "d0", "r": "r0"})
    runs: list[list[RunEvent]] = field(default_factory=list)
    befores: list[dict[str, str]] = field(default_factory=list)
    truth: dict[str, list[int]] = field(default_factory=lambda: {"d": [], "r": []})
    truths: list[dict[str, list[int]]] = field(default_factory=list)
    changes: int = 0

    def event(self, kind: str, data: Mapping[str, object]) -> RunEvent:
        return RunEvent(at=EPOCH + timedelta(seconds=len(self.runs)), kind=kind, data=dict(data))

    def begin(self, task: str) -> list[RunEvent]:
        self.befores.append(dict(self.holds))
        self.truths.append({file: [*runs] for file, runs in self.truth.items()})
        return [self.event("begin", {"task": task})]

    def new(self, files: Sequence[str]) -> dict[str, str]:
        self.changes += 1
        return {file: f"{file}{self.changes}" for file in files}

    def write(self, events: list[RunEvent], after: Mapping[str, str], end: str) -> bool:
        """Let a run announce a write that comes to such an end; a kill is recovered from by the next run."""
        before = dict(self.holds)
        for file, content in after.items():
            events.append(self.event(REPLACES, {"file": file, "before": before[file], "after": content}))
        if not end.startswith("killed"):
            outcome = "failed" if end == "failed" else "changed"
            events.append(self.event("step", {"step": "write", "outcome": outcome}))
        if end == "put back":
            events.append(self.event("step", {"step": "put back", "outcome": "rolled_back"}))
        self.runs.append(events)
        is_written = end in {"written", "killed, completed"}
        if is_written:
            self.holds |= after
        if end.startswith("killed"):
            recovering = self.begin("setup")
            recovering += [self.event(RECOVERED, {"file": file, "holds": self.holds[file]}) for file in after]
            self.runs.append(recovering)
        return is_written

    def set_up(self, files: Sequence[str], end: str) -> None:
        number, events = len(self.runs), self.begin("setup")
        if self.write(events, self.new(files), end):
            for file in files:
                self.truth[file].append(number)

    def roll_back(self, number: int, end: str) -> None:
        """Undo run `number`: whatever stands on its files since then is gone. What is as before is not written."""
        replaced = [event.data["file"] for event in self.runs[number] if event.kind == REPLACES]
        before = {file: self.befores[number][file] for file in replaced}
        after = {file: content for file, content in before.items() if content != self.holds[file]}
        events = self.begin("rollback")
        events.append(self.event(UNDOES, {"run": str(number), "since": self.runs[number][0].at.isoformat()}))
        if self.write(events, after, end):
            self.truth |= {file: [*self.truths[number][file]] for file in after}

    def edit(self, file: str) -> None:
        """Somebody changes a file by hand."""
        self.holds |= self.new([file])

    def wanted(self) -> int | None:
        return max((number for runs in self.truth.values() for number in runs), default=None)

    def chosen(self) -> int | None:
        stands = StandingChange(lambda path: self.holds[str(path)])
        for number in reversed(range(len(self.runs))):
            if stands(self.runs[number]):
                return number
        return None


FILES = st.sampled_from([("d", "r"), ("d",), ("r",)])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["set up", "set up", "roll back", "roll back run", "edit"]),
        FILES,
        st.sampled_from([*ENDS, "written", "written"]),
        st.integers(0, 99),
    ),
    max_size=12,
)


def lived(world: World, steps: Sequence[tuple[str, Sequence[str], str, int]]) -> World:
    for what, files, end, number in steps:
        changed = [n for n, events in enumerate(world.runs) if any(event.kind == REPLACES for event in events)]
        newest = world.wanted()
        if what == "set up":
            world.set_up(files, end)
        elif what == "edit":
            world.edit(files[0])
        elif what == "roll back" and newest is not None:
            world.roll_back(newest, end)
        elif what == "roll back run" and changed:
            world.roll_back(changed[number % len(changed)], end)
    return world


@settings(max_examples=1000, derandomize=True, database=None, deadline=None)
@given(STEPS)
def test_the_newest_change_that_stands_is_taken_back(steps: Sequence[tuple[str, Sequence[str], str, int]]) -> None:
    """Setups that succeed, fail, are undone or killed; rollbacks of each of them and of rollbacks; edits by hand."""
    world = lived(World(), steps)
    assert world.chosen() == world.wanted()


@pytest.mark.parametrize("end", ["failed", "put back", "killed, undone"])
def test_a_newest_run_that_wrote_nothing_for_good_fools_the_naive_choice(end: str) -> None:
    """The broken variant takes the newest run that announced a write."""
    world = World()
    world.set_up(("d", "r"), "written")
    world.set_up(("r",), end)
    announced = [n for n, events in enumerate(world.runs) if any(event.kind == REPLACES for event in events)]
    assert announced[-1] == 1
    assert world.chosen() == world.wanted() == 0


def test_what_was_put_back_by_hand_is_undone() -> None:
    world = World()
    world.set_up(("d", "r"), "written")
    world.set_up(("d", "r"), "written")
    world.holds |= world.befores[1]
    assert world.chosen() == 0


def test_without_a_record_of_the_write_the_files_decide() -> None:
    """A run that was killed, and recovered from by a command on another target: what it wrote is there, or is not."""
    world = World()
    world.set_up(("d", "r"), "written")
    world.set_up(("d", "r"), "killed, completed")
    del world.runs[-1]
    assert world.chosen() == 1
    world.holds |= world.befores[1]
    assert world.chosen() == 0


def test_an_undo_that_failed_half_way_leaves_a_change_to_take_back() -> None:
    world = World()
    world.set_up(("d", "r"), "written")
    world.runs[0].append(world.event("step", {"step": "put back", "outcome": "failed"}))
    world.holds["d"] = "d0"
    assert world.chosen() == 0


def test_undone_or_never_written() -> None:
    """Whether there is nothing to take back any more, or never was."""
    for ends, is_any_undone in ([], False), (["failed"], False), (["put back"], True), (["killed, undone"], True):
        world = World()
        for end in ends:
            world.set_up(("d", "r"), end)
        holds = world.holds
        stands = StandingChange(lambda path, holds=holds: holds[str(path)])  # type: ignore[misc]  # a default for the loop
        assert not any(stands(events) for events in reversed(world.runs))
        assert stands.is_any_undone is is_any_undone
