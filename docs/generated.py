"""Writes the generated parts of the documents from the code that they describe; `--check` only compares.

A part stands between `<!-- generated: NAME -->` and `<!-- end: NAME -->`. Run by `inv dev.docs` and `inv dev.lint`.
"""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

from docs.engines import engines
from runbook.diagnosis.catalogue import CHECKS
from runbook.errors import ExitCode
from runbook.files.needed_fields import NEEDS
from runbook.settings import Target
from runbook.systems.settings_group import Group
from sink.variables import VARIABLES

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "README.md",
    "docs/DOCKER.md",
    "docs/FAULTS.md",
    "docs/PANELS.md",
    "docs/SETTINGS.md",
    "docs/SINK.md",
)


def exit_codes() -> Iterator[str]:
    """The table of exit codes."""
    yield "| code | meaning |"
    yield "|---|---|"
    for code in ExitCode:
        yield f"| {int(code)} | {code.meaning} |"


def commands() -> Iterator[str]:
    """The table of tasks, each with its promise."""
    import tasks  # noqa: PLC0415 - it takes over the signals of whoever imports it, a test too

    yield "| task | what it does |"
    yield "|---|---|"
    for name, task in sorted(tasks.namespace.tasks.items()):
        yield f"| `inv {name}` | {_promise(task.__doc__)} |"
    for prefix, collection in sorted(tasks.namespace.collections.items()):
        for name, task in sorted(collection.tasks.items()):
            yield f"| `inv {prefix}.{name}` | {_promise(task.__doc__)} |"


def settings() -> Iterator[str]:
    """One table per group of settings: key, variable, default and meaning."""
    for field in fields(Target):
        kind = field.type
        if isinstance(kind, type) and issubclass(kind, Group):
            yield f"### {field.name}"
            yield ""
            yield _promise(kind.__doc__)
            yield ""
            yield "| key | variable | default | meaning |"
            yield "|---|---|---|---|"
            own = kind.__annotations__  # what every server has comes after what this one alone has
            for key, info in sorted(kind.model_fields.items(), key=lambda field: field[0] not in own):
                variable = f"RUNBOOK_{field.name}_{key}".upper()
                default = info.get_default(call_default_factory=True, validated_data={})
                yield f"| `{key}` | `{variable}` | {_shown(default)} | {info.description} |"
            yield ""


def faults() -> Iterator[str]:
    """The table of faults: one row a code, with the hops at which it is looked for."""
    yield "| code | hop | diagnosis | told by | fix |"
    yield "|---|---|---|---|---|"
    rows: dict[tuple[str, ...], list[str]] = {}
    for check in CHECKS:
        fix = {"": "none", "{fix}": "as the evidence says"}.get(check.fix, check.fix)
        row = (check.code, *(text.format_map(_Fields()) for text in (check.diagnosis, check.sign, fix)))
        rows.setdefault(row, []).append(check.hop)
    for (code, *texts), hops in rows.items():
        yield f"| {' | '.join((code, ', '.join(hops), *texts))} |"


class _Fields(dict[str, object]):
    """Shows a field of a text as its name in capitals, and a command as it is typed."""

    def __missing__(self, name: str) -> object:
        return {"inv": _Command(), "setting": _Setting()}.get(name, name.upper())


class _Command:
    def __format__(self, command: str) -> str:
        return f"`inv {command}`"


def needed_fields() -> Iterator[str]:
    """The table of what the success criteria need of a panel."""
    yield "| field | needed | why |"
    yield "|---|---|---|"
    for need in NEEDS:
        yield f"| {need.fields} | {need.needed} | {need.reason} |"


class _Setting:
    def __format__(self, setting: str) -> str:
        return f"RUNBOOK_{setting.replace('.', '_')}".upper()


def sink_variables() -> Iterator[str]:
    """The table of the sink's environment variables."""
    yield "| variable | default | meaning |"
    yield "|---|---|---|"
    for variable in VARIABLES:
        meaning = variable.meaning.replace("_", r"\_")
        yield f"| `{variable.name}` | {_shown(variable.default)} | {meaning} |"


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "exit codes": exit_codes,
    "commands": commands,
    "settings": settings,
    "engines": engines,
    "faults": faults,
    "needed fields": needed_fields,
    "sink variables": sink_variables,
}


def main(arguments: list[str]) -> int:
    """Write every document, or with --check name those that are out of date."""
    outdated = [name for name in DOCUMENTS if _written(ROOT / name, check="--check" in arguments)]
    for name in outdated:
        print(f"{name}: {'its generated parts are out of date: inv dev.docs' if '--check' in arguments else 'written'}")
    return int(bool(outdated) and "--check" in arguments)


def _written(path: Path, *, check: bool) -> bool:
    before = path.read_text(encoding="utf-8")
    after = re.sub(r"(<!-- generated: ([\w ]+) -->\n).*?(<!-- end: \2 -->)", _part, before, flags=re.DOTALL)
    if before != after and not check:
        path.write_text(after, encoding="utf-8")
    return before != after


def _part(match: re.Match[str]) -> str:
    return match[1] + "\n".join(PARTS[match[2]]()).rstrip() + "\n" + match[3]


def _promise(docstring: str | None) -> str:
    return (docstring or "").strip().splitlines()[0]


def _shown(default: object) -> str:
    text = str(getattr(default, "get_secret_value", lambda: default)())
    return f"`{text}`" if text not in {"None", "", "{}"} else ""


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
