"""What is right and wrong with an edited file, judged without the editor's own scanners."""

import json
import re
import subprocess
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

from runbook.errors import DocumentError
from runbook.files.file_change import FileChange
from runbook.files.panels import plan_panels
from runbook.files.rules import plan_rules
from tests.files.found_dashboards import BOM, WANTED, FoundDashboard
from tests.files.found_rules import WANTED as RULES
from tests.files.found_rules import FoundRules

NAMES = [(panel["title"], panel["targets"][0]["expr"]) for panel in WANTED.panels]
DECODER = json.JSONDecoder()
INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
COMMA = re.compile(r"\s*,\s*")
Names = tuple[Any, Any]


def outcome_of(found: FoundDashboard) -> tuple[str, FileChange | None]:
    """What became of a dashboard, and its plan."""
    return _outcome(lambda: plan_panels(found.raw, WANTED, path=Path("d.json"), **found.options))


def _outcome(plan: Callable[[], FileChange]) -> tuple[str, FileChange | None]:
    """Applied, unchanged, conflict (refused at a line) or refused."""
    try:
        made = plan()
    except DocumentError as error:
        return ("conflict" if re.search(r":[0-9]+$", error.where) else "refused"), None
    return ("applied" if not made.is_empty else "unchanged"), made


class Mismatch(Exception):  # noqa: N818 - a finding, not an error
    """A byte that nobody meant to change."""


class Walk:
    """Two texts passed side by side, the original and the edited one."""

    def __init__(self, body: str, text: str) -> None:
        self.body, self.text = body, text
        self.at = self.to = 0

    def same_until(self, at: int) -> None:
        """Pass over what must be alike."""
        to = self.to + at - self.at
        if self.body[self.at : at] != self.text[self.to : to]:
            raise Mismatch(f"between characters {self.at} and {at}")
        self.at, self.to = at, to

    def number(self, at: int) -> None:
        """Pass over a number that may be another one."""
        if self.text.startswith(self.body[self.at : at], self.to):
            self.same_until(at)
        elif digits := INTEGER.match(self.text, self.to):
            self.at, self.to = at, digits.end()
        else:
            raise Mismatch(f"no whole number at character {at}")

    def panel(self, at: int, names: Names) -> None:
        """Pass over a panel that may be written anew, but must be the same by name."""
        value, end = DECODER.raw_decode(self.text, self.to)
        if names_of(value) != names:
            raise Mismatch(f"another panel at character {at}")
        self.at, self.to = at, end

    def inserted(self, missing: list[Names]) -> None:
        """Pass over panels that are only in the edited text."""
        while missing and (comma := COMMA.match(self.text, self.to)):
            value, end = DECODER.raw_decode(self.text, comma.end())
            if names_of(value) != missing[0]:
                return
            missing.pop(0)
            self.to = end


def unintended(found: FoundDashboard, after: bytes) -> str:
    """What changed besides the new panels and the digits of y: empty if nothing did."""
    mark = BOM if found.raw.startswith(BOM) else b""
    walk = Walk(found.body, after.removeprefix(mark).decode())
    there = [names_of(spot.fields) for spot in found.spots]
    missing = [names for names in NAMES if names not in there]
    try:
        for spot, names in zip(found.spots, there, strict=True):
            walk.same_until(spot.start)
            if names in NAMES:
                walk.panel(spot.end, names)
            elif spot.y:
                walk.same_until(spot.y[0])
                walk.number(spot.y[1])
            walk.same_until(spot.end)
            if spot.fields.get("id") == 19 or names in NAMES:  # the anchor
                walk.inserted(missing)
        walk.same_until(len(walk.body))
    except Mismatch as mismatch:
        return str(mismatch)
    if len(walk.text) > walk.to or not after.startswith(mark) or missing:
        return "the end or the mark differs, or a panel is missing"
    return ""


def names_of(panel: Any) -> Names:  # noqa: ANN401 - any JSON value
    """Title and expression."""
    targets = panel.get("targets")
    return panel.get("title"), targets[0].get("expr") if targets else None


def box_of(panel: dict[str, Any]) -> tuple[int, int, int, int] | None:
    """Place of a panel, or None where Grafana has to find one."""
    grid = panel.get("gridPos")
    found = [grid.get(side) for side in "xywh"] if isinstance(grid, dict) else []
    sides = [int(side) for side in found if isinstance(side, int | float) and side == int(side)]
    if len(sides) == 4:
        x, y, w, h = sides
        return x, y, w, h
    return None


def wrong_layout(found: FoundDashboard, after: bytes) -> str:
    """Whether panels overlap that did not, or changed their order, or moved up: empty if none did."""
    before = [spot.fields for spot in found.spots]
    there = {names_of(fields) for fields in before}
    panels = json.loads(after.removeprefix(BOM))["panels"]
    added = [panel for panel in panels if names_of(panel) in NAMES and names_of(panel) not in there]
    kept = [panel for panel in panels if panel not in added]
    new = overlapping([*kept, *added]) - overlapping(before)
    if new:
        return f"panels at {sorted(new)} overlap now"
    rows: dict[int, int] = {}
    for old, now in zip(before, kept, strict=True):
        box, box_now = box_of(old), box_of(now)
        if names_of(old) in NAMES or box is None or box_now is None:
            continue
        y, moved = box[1], box_now[1]
        if moved < y or rows.setdefault(y, moved) != moved:
            return f"a panel at y={y} moved to y={moved}"
    return "" if [*map(rows.get, sorted(rows))] == sorted(rows.values()) else "the order of the rows changed"


def overlapping(panels: list[dict[str, Any]]) -> set[tuple[int, int]]:
    """Pairs of panels, by their numbers, that share a cell."""
    cells: dict[tuple[int, int], list[int]] = {}
    for index, panel in enumerate(panels):
        if box := box_of(panel):
            x, y, w, h = box
            for cell in ((column, row) for column in range(x, x + w) for row in range(y, y + h)):
                cells.setdefault(cell, []).append(index)
    return {pair for held in cells.values() for pair in combinations(held, 2)}


def patched(before: bytes, diff: str) -> bytes:
    """A unified diff applied, line for line, without any fuzz; raises ValueError where it does not fit."""
    old = _lines(before.decode())
    new: list[str] = []
    at = 0
    for line in _diff_lines(diff):
        if line.startswith("@@"):
            where = line.split()[1]
            start = int(where.partition(",")[0][1:]) - (not where.endswith(",0"))
            new += old[at:start]
            at = start
        elif line[0] == "+":
            new.append(line[1:])
        elif old[at] != line[1:]:
            raise ValueError(line)
        else:
            new += [line[1:]] if line[0] == " " else []
            at += 1
    return "".join([*new, *old[at:]]).encode()


def _diff_lines(diff: str) -> list[str]:
    """The lines of a diff behind its head; one that the next says to have no line end has none."""
    lines = _lines(diff)[2:]
    ended = zip(lines, [*lines[1:], ""], strict=True)
    return [line.removesuffix("\n") if then[:1] == "\\" else line for line, then in ended if line[0] != "\\"]


def _lines(text: str) -> list[str]:
    """Lines that end at LF only."""
    return [line for line in re.split(r"(?<=\n)", text) if line]


def outcome_of_rules(found: FoundRules) -> tuple[str, FileChange | None]:
    """What became of a rules file, and its plan."""
    return _outcome(lambda: plan_rules(found.raw, RULES, path=Path("r.yml"), **found.options))


def unintended_in_rules(found: FoundRules, after: bytes) -> str:
    """What changed besides one block of lines at the bottom of the group: empty if nothing did."""
    if found.options or found.expected == "unchanged":
        return _other_lines(found, after)
    text = after.removeprefix(BOM).decode()
    body = found.body
    if "scraapped" in body:
        return "" if body.replace("scraapped", "scraped") == text else "more than the spelling differs"
    first, last = found.bottom
    if found.gone:
        at = body.index(found.gone, first)
        body = body[:at] + body[at + len(found.gone) :]
    added = len(text) - len(body)
    for at in range(first, min(last, len(body)) + 1):
        block = text[at : at + added]
        if text[:at] + text[at + added :] == body and block.count("alert: CrmEventsSinkDown") == 1:
            return "" if after.startswith(BOM) == found.raw.startswith(BOM) else "the byte order mark differs"
    return "it is not one block of lines at the bottom of the group"


def _other_lines(found: FoundRules, after: bytes) -> str:
    """For an alert that moved: all other lines are there, in order, and none is new."""
    before, now = ([line.strip() for line in raw.split(b"\n") if line.strip()] for raw in (found.raw, after))
    return "" if sorted(before) == sorted(now) else "lines differ"


def wrong_meaning(found: FoundRules, after: bytes) -> str:
    """Whether the groups say anything but the same with the alert at the target's end: empty if not."""
    before, now = (_groups(raw) for raw in (found.raw, after))
    name = RULES[0].rule.alert
    (wanted,) = yaml.safe_load(RULES[0].text)
    if found.options:
        before = {group: [rule for rule in rules if rule.get("alert") != name] for group, rules in before.items()}
    there = [rule for rules in before.values() for rule in rules if rule.get("alert") == name]
    for rule in there:
        rule["annotations"] = wanted["annotations"]
    if not there:
        before["crm_events_alerts"].append(wanted)
    return "" if before == now else "the groups say something else"


def _groups(raw: bytes) -> dict[str, list[dict[str, Any]]]:
    return {group["name"]: group["rules"] or [] for group in yaml.safe_load(raw.removeprefix(BOM))["groups"]}


def rejected(promtool: str, files: Sequence[Path]) -> list[str]:
    """What promtool says of the files that it does not accept; many files in one call."""
    command = [promtool, "check", "rules", "--lint=none", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout.count("SUCCESS") == len(files):
        return []
    return [block.strip() for block in (done.stdout + done.stderr).split("Checking ") if "SUCCESS" not in block]
