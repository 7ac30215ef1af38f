"""What is wrong with a rules file, as Prometheus would see it: by promtool where there is one, else by its YAML."""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from runbook.errors import FOREIGN
from runbook.names import ALERT

_PROMTOOL_S = 5
_QUOTED = 300


def rules_problem(content: bytes, promtool: str) -> str:
    """Return why Prometheus would refuse the file, in one line, or nothing; `promtool` is a program's name or path."""
    try:
        document = yaml.safe_load(content)
    except (yaml.YAMLError, *FOREIGN) as error:
        return " ".join(f"not YAML: {error}".split())[:_QUOTED]
    if not isinstance(document, dict) or not isinstance(document.get("groups"), list):
        return "no list of groups"
    return next(_wrong_groups(document["groups"]), "") or _said_by_promtool(content, promtool)


def holds_alert(content: bytes) -> bool:
    """Say whether a rule of the runbook's alert is in the file; False when it cannot be parsed."""
    try:
        groups = yaml.safe_load(content)["groups"]
        return any(rule.get("alert") == ALERT for group in groups for rule in group["rules"])
    except (yaml.YAMLError, *FOREIGN, KeyError, TypeError, AttributeError):
        return False


def _wrong_groups(groups: list[object]) -> Iterator[str]:
    """What Prometheus refuses in any case, expressions apart: those only promtool can judge."""
    names = [group.get("name") if isinstance(group, dict) else None for group in groups]
    if None in names or "" in names:
        yield "a group without a name"
    yield from (f"the group {name} is there twice" for name in names if names.count(name) > 1)
    for name, group in zip(names, groups, strict=True):
        rules = group.get("rules") if isinstance(group, dict) else None
        for rule in rules if isinstance(rules, list) else ():
            if not isinstance(rule, dict) or not rule.get("expr") or len({"alert", "record"} & rule.keys()) != 1:
                yield f"a rule of the group {name} without expression, or that is neither alert nor record"


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
    said = " ".join(f"{done.stdout} {done.stderr}".replace(str(path), "").split())
    return f"promtool: {said}"[:_QUOTED] if done.returncode else ""
