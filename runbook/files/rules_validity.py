"""What is wrong with a rules file, as Prometheus would see it: by promtool where there is one, else by its YAML."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from runbook.errors import FOREIGN, DocumentError
from runbook.files import yaml_text
from runbook.files.prometheus_text import duration_s
from runbook.files.text import BOM, decoded
from runbook.names import ALERT

_PROMTOOL_S = 5
_QUOTED = 300
_LINE = re.compile(r"\bline ([0-9]+)\b|^promtool: ([0-9]+):[0-9]+: ")
_NOTHING = {"", "~", "null"}


def rules_problem(content: bytes, promtool: str) -> str:
    """Return why Prometheus would refuse the file, in one line, or nothing; `promtool` is a program's name or path.

    promtool's own words go first. What it passes over is said then: it reads only the first of several documents.
    """
    return _said_by_promtool(content, promtool) or next(_problems(content), "")[:_QUOTED]


def line_of(problem: str) -> int | None:
    """The line of the file that a problem names."""
    found = _LINE.search(problem)
    return int(found[1] or found[2]) if found else None


def holds_alert(content: bytes) -> bool:
    """Say whether a rule of the runbook's alert is in the file; False when it cannot be parsed."""
    try:
        root = _root(content)
    except (DocumentError, *FOREIGN):
        return False
    rules = (rule for group in _items(root, "groups") for rule in _items(group, "rules")) if root else ()
    return any(yaml_text.scalar(rule, "alert") == ALERT for rule in rules)


def _root(content: bytes) -> yaml.MappingNode | None:
    """The document; None for a file that says nothing, which Prometheus takes. Raises DocumentError."""
    if not content.removeprefix(BOM).strip():
        return None
    return yaml_text.document(decoded(content, path=Path("rules")))


def _problems(content: bytes) -> Iterator[str]:
    """What Prometheus refuses in any case, expressions and templates apart: those only promtool can judge."""
    try:
        root = _root(content)
    except DocumentError as error:
        line = error.where.rpartition(":")[2]
        yield f"line {line}: {error.seen}" if line.isdigit() else error.seen
        return
    except FOREIGN as error:
        yield f"not YAML that can be read: {error}"
        return
    if root is None:
        return
    if repeated := yaml_text.repeated_key(root):
        yield f"line {repeated.start_mark.line + 1}: the key {repeated.value} is there twice"
    groups = yaml_text.values(root, "groups")
    if not groups or not (isinstance(groups[0], yaml.SequenceNode) or groups[0].value in _NOTHING):
        yield "no list of groups"
        return
    names = [yaml_text.scalar(group, "name") for group in _items(root, "groups")]
    if "" in names:
        yield "a group without a name"
    yield from (f"the group {name} is there twice" for name in names if names.count(name) > 1)
    for name, group in zip(names, _items(root, "groups"), strict=True):
        for rule in _items(group, "rules"):
            yield from (f"line {rule.start_mark.line + 1}: {seen} of the group {name}" for seen in _wrong_rule(rule))


def _wrong_rule(rule: yaml.Node) -> Iterator[str]:
    kinds = [kind for kind in ("alert", "record") if yaml_text.scalar(rule, kind)]
    if len(kinds) != 1 or not yaml_text.scalar(rule, "expr"):
        yield "a rule without expression, or that is neither alert nor record,"
    for key in ("for", "keep_firing_for"):
        written = yaml_text.scalar(rule, key)
        if written and duration_s(written) is None:
            yield f"`{key}: {written}` is no duration, in a rule"
        if written and kinds == ["record"]:
            yield f"`{key}` in a recording rule"


def _items(node: yaml.Node, key: str) -> list[yaml.Node]:
    """The items of the list under a key; none if there is no list."""
    found = yaml_text.values(node, key)[:1]
    return [item for one in found if isinstance(one, yaml.SequenceNode) for item in one.value]


def _said_by_promtool(content: bytes, promtool: str) -> str:
    """Return promtool's own words; it is optional: one that is not there, or does not run or end, says nothing."""
    program = shutil.which(promtool)
    if program is None:
        return ""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rules.yml"
        path.write_bytes(content)
        try:
            done = subprocess.run(
                [program, "check", "rules", str(path)],
                capture_output=True,
                encoding="utf-8",
                errors="replace",
                timeout=_PROMTOOL_S,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError):
            return ""
    lines = [line.strip().removeprefix(f"{path}: ") for line in f"{done.stdout}\n{done.stderr}".splitlines()]
    said = " ".join(dict.fromkeys(line for line in lines if line not in {"", "FAILED:", f"Checking {path}"}))
    return f"promtool: {said}"[:_QUOTED] if done.returncode else ""
