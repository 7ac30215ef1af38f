"""Rules files as they are found in the field, made from a seed, line by line, with the lines that may be touched."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random

from runbook.files.desired import wanted_rules

BOM = b"\xef\xbb\xbf"
WANTED = wanted_rules()
TARGET = "crm_events_alerts"
ALERT = WANTED[0].text.rstrip("\n").split("\n")[1:]
COMMENTS = ["# a comment", "#no blank", "## two", "# - alert: Off", "#\ttab", "# 🔥 ====", "# groups: []", "#"]
SUMMARIES = ['"down 🔥 {{ $value }}"', "'it''s # no comment'", "plain text", '"a\\tb\ttab"', '"\\U0001F525 \\" x"']


@dataclass(kw_only=True)
class FoundRules:
    """A file, what must become of it, and the lines below which the alert may go (numbers of characters)."""

    raw: bytes
    expected: str
    options: dict[str, bool]
    bottom: tuple[int, int] = (0, 0)
    gone: str = ""

    @property
    def body(self) -> str:
        """The text without the byte order mark."""
        return self.raw.removeprefix(BOM).decode()


@dataclass(kw_only=True)
class _Group:
    """What one group is written with."""

    chance: Random
    name: str
    dash: int
    key: int
    nested: int
    lines: list[str] = field(default_factory=list)
    anchors: list[str] = field(default_factory=list)

    def put(self, column: int, text: str) -> None:
        self.lines.append(" " * column + text)

    def rule(self, number: int) -> None:
        """A recording or alerting rule in one of many styles."""
        chance = self.chance
        if chance.random() < 0.5:
            self.put(chance.choice([self.dash, self.dash, self.dash + 2, 0]), chance.choice(COMMENTS))
        if chance.random() < 0.15:
            self.put(self.dash, f'- {{alert: F{number}, expr: "up == {number}", labels: {{team: crm}}}}')
            return
        key = chance.choice(["alert", '"alert"', "'alert'"])
        self._first(f"{key}: A{self.name.title().replace('_', '')}{number}")
        for part in chance.sample([self._expr, self._labels, self._annotations, self._for], 4):
            part(number)

    def pasted(self, lines: list[str]) -> None:
        """The runbook's alert as somebody pasted it."""
        for line in lines:
            depth = len(line) - len(line.lstrip(" "))
            text = line.lstrip(" ")
            if text.startswith("- "):
                self._first(text[2:])
            else:
                self.put(self.dash + self.key + (self.nested if depth > 2 else 0), text)

    def _first(self, text: str) -> None:
        self.put(self.dash, "-" + " " * (self.key - 1) + text)

    def _for(self, _number: int) -> None:
        self._member("for: " + self.chance.choice(["2m", "1h30m", '"5m"', "0s"]) + self.chance.choice(["", " # why"]))

    def _expr(self, number: int) -> None:
        column = self.dash + self.key
        kind = self.chance.choice(["plain", "double", "|", "|-", "|+", ">", ">-", "|2", "several"])
        if kind == "plain":
            self._member(f"expr: rate(x_total[5m]) > {number}")
        elif kind == "double":
            self._member(f'"expr": "up{{job=\\"a\\"}} == {number}"')
        elif kind == "several":
            self._member("expr: up")
            self.put(column + 3, f"== {number}")
        else:
            self._member(f"expr: {kind}")
            inner = column + 2
            self.put(inner, "sum(up)")
            if kind in {"|", "|-", "|+"} and self.chance.random() < 0.5:
                self.lines.append(self.chance.choice(["", " " * inner]))
            self.put(inner, f"\t> {number}" if kind == "|" else f"> {number}")
            if kind == "|+":
                self.lines += [""] * self.chance.randint(0, 2)

    def _labels(self, number: int) -> None:
        kind = self.chance.choice(["block", "flow", "anchor", "alias"])
        if kind == "alias" and self.anchors:
            self._member(f"labels: *{self.chance.choice(self.anchors)}")
        elif kind == "flow":
            self._member("labels: {team: crm, severity: 'warning', }")
        else:
            name = f"{self.name}{number}"
            self._member("labels:" + (f" &{name}" if kind == "anchor" else ""))
            self._nested('"team": crm')
            self._nested("severity: critical")
            if kind == "anchor":
                self.anchors.append(name)

    def _annotations(self, _number: int) -> None:
        self._member("annotations:")
        if self.chance.random() < 0.3:
            self.put(self.chance.choice([0, self.dash + self.key]), "# inside")
        self._nested(f"summary: {self.chance.choice(SUMMARIES)}")
        if self.chance.random() < 0.3:
            self._nested("description: >")
            self.put(self.dash + self.key + self.nested + 4, "folded 🔥")
            self.put(self.dash + self.key + self.nested + 4, "text\twith a tab")

    def _member(self, text: str) -> None:
        self.put(self.dash + self.key, text + self.chance.choice(["", "", "", " ", "   "]))

    def _nested(self, text: str) -> None:
        self.put(self.dash + self.key + self.nested, text)


def found_rules(seed: int) -> FoundRules:
    """The rules file of a seed."""
    chance = Random(seed)  # noqa: S311 - no secret
    kind = chance.choice(list(SITUATIONS))
    return SITUATIONS[kind](chance)


def _file(
    chance: Random,
    expected: str,
    *,
    target: str | None = "rules",
    alert_in: str | None = None,
    alert: list[str] = ALERT,
    before: str = "",
    **options: bool,
) -> FoundRules:
    """Several groups with the target among them."""
    step = chance.choice([0, 1, 2, 2, 2, 4])
    lines = [*_blank(chance), *([before] if before else []), *_blank(chance), chance.choice(["groups:", '"groups":'])]
    names = [f"g{n}_crm" for n in range(chance.randint(1, 5))]
    if target is not None:
        names.insert(chance.randint(0, len(names)), TARGET)
    marks = (0, 0)
    gone = ""
    anchors: list[str] = []
    other = chance.choice([name for name in names if name != TARGET] or [TARGET])
    for name in names:
        lines += _blank(chance)
        key = step + 2
        group = _Group(
            chance=chance,
            name=name,
            dash=key + chance.choice([0, 2, 2, 4]),
            key=chance.choice([2, 2, 2, 4]),
            nested=chance.choice([2, 2, 4]),
            lines=[],
            anchors=anchors,
        )
        group.put(step, f"- name: {chance.choice(['', chr(34)])}{name}".replace('"' + name, f'"{name}"'))
        if chance.random() < 0.5:
            group.put(key, "interval: 30s # often")
        first = len(lines) + len(group.lines)
        is_empty = name == TARGET and target in {"[]", ""}
        if is_empty or (name not in {TARGET, other} and chance.random() < 0.1):
            value = str(target) if is_empty else "[]"
            group.put(key, f"rules: {value}".rstrip(" ") + chance.choice(["", "  # none"]))
            gone = f" {value}" if is_empty and value else gone
        else:
            group.put(key, "rules:" + chance.choice(["", " # these"]))
            _rules(chance, group, alert if name == (TARGET if alert_in == "target" else other) and alert_in else None)
        ends = len(lines) + len(group.lines)
        lines += group.lines
        if chance.random() < 0.1:
            lines.append(" " * key + "limit: 0")
        if name == TARGET:
            marks = (first if is_empty else ends - 1, ends)
    return _written(chance, lines, marks, FoundRules(raw=b"", expected=expected, options=options, gone=gone))


def _rules(chance: Random, group: _Group, alert: list[str] | None) -> None:
    count = chance.randint(1, 4) if chance.random() < 0.95 else 40
    place = chance.randint(0, count)
    for number in range(count):
        if alert and number == place:
            group.pasted(alert)
        group.rule(number)
        if chance.random() < 0.6:
            group.lines.append(chance.choice(["", "", "  "]))
    if alert and place == count:
        group.pasted(alert)
    while not group.lines[-1].strip():
        group.lines.pop()


def _blank(chance: Random) -> Iterator[str]:
    for _ in range(chance.choice([0, 0, 1, 2])):
        yield chance.choice(["", "", "  ", *COMMENTS])


def _written(chance: Random, lines: list[str], marks: tuple[int, int], found: FoundRules) -> FoundRules:
    """The bytes of the lines, and where in them the target's bottom is."""
    newlines = chance.choice([["\n"], ["\n"], ["\n"], ["\r\n"], ["\n", "\r\n"]])
    ended = [line + chance.choice(newlines) for line in lines]
    ended += [f"{line}\n" for line in _blank(chance)]
    if ":" in ended[-1] and chance.random() < 0.6:  # a line end may belong to a block scalar
        ended[-1] = ended[-1].rstrip("\r\n")
    found.bottom = (sum(map(len, ended[: marks[0]])), sum(map(len, ended[: marks[1] + 12])))
    found.raw = (BOM if chance.random() < 0.2 else b"") + "".join(ended).encode()
    return found


DIFFERENT = [line.replace("== 0", "== 1") for line in ALERT]
MISSPELT = [line.replace("scraped", "scraapped") for line in ALERT]
SITUATIONS: dict[str, Callable[[Random], FoundRules]] = {
    "before": lambda chance: _file(chance, "applied"),
    "before again": lambda chance: _file(chance, "applied"),
    "before once more": lambda chance: _file(chance, "applied", before="---"),
    "empty list": lambda chance: _file(chance, "applied", target="[]"),
    "empty": lambda chance: _file(chance, "applied", target=""),
    "there": lambda chance: _file(chance, "unchanged", alert_in="target"),
    "misspelt": lambda chance: _file(chance, "applied", alert_in="target", alert=MISSPELT),
    "elsewhere": lambda chance: _file(chance, "unchanged", alert_in="other"),
    "moved": lambda chance: _file(chance, "applied", alert_in="other", move_alert=True),
    "different": lambda chance: _file(chance, "conflict", alert_in="target", alert=DIFFERENT),
    "different elsewhere": lambda chance: _file(chance, "conflict", alert_in="other", alert=DIFFERENT),
    "no target": lambda chance: _file(chance, "refused", target=None),
    "no groups": lambda _chance: FoundRules(raw=b"groups: []\n", expected="refused", options={}),
    "two documents": lambda chance: _two(_file(chance, "conflict")),
}


def _two(found: FoundRules) -> FoundRules:
    found.raw = found.raw.rstrip() + b"\n---\ngroups: []\n"
    return found
