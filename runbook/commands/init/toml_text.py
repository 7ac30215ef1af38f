"""A proposal as the text of runbook.toml: a new file with every setting, or the lines that an existing one lacks."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from difflib import unified_diff
from pathlib import Path
from typing import Final

from pydantic.fields import FieldInfo

from runbook.commands.init.survey import Found, Survey
from runbook.errors import UsageError
from runbook.invocation import inv
from runbook.settings import Target
from runbook.systems.setting_errors import in_toml
from runbook.systems.settings_group import Group, is_secret
from runbook.wording import visible_line

_BARE: Final = re.compile(r"[A-Za-z0-9_-]+")
_HEADING: Final = r"^[ \t]*\[[ \t]*targets[ \t]*\.[ \t]*{name}[ \t]*\.[ \t]*{group}[ \t]*\][^\n]*\n?"
_HEAD: Final = """\
# Settings of the target {name}, proposed by {init}.
# A line behind a # is the default, or an example where there is none. An environment variable goes before this file.
# Never write a secret here: name a file that only you can read by KEY_file, as below.
# {check} lists every setting and where it came from.
"""


def must_be_bare(name: str) -> None:
    """Raise UsageError for the name of a target that needs quotes in TOML."""
    if not _BARE.fullmatch(name):
        fix = "use letters, digits, - and _"
        raise UsageError(f"A target cannot be called {name!r}", where="option --target", fix=fix)


def whole_text(survey: Survey) -> str:
    """Return the text of a new file: what was found or set, and everything else as comments."""
    target = survey.target
    check = inv("init --check")
    parts = [_HEAD.format(name=target.name, init=inv("init"), check=check)]
    found = {(one.group, one.key): one for one in survey.found}
    for name, group in target.groups.items():
        lines = [f"[targets.{target.name}.{name}]", *(f"# {_line(one)}" for one in survey.remarks.get(name, ()))]
        for key, info in type(group).model_fields.items():
            lines.append(_setting(group, name, key, info, found.get((name, key))))
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def with_lines(text: str, target: Target, found: Sequence[Found]) -> str:
    """Return the text of an existing file with what was found; none of its own lines is changed.

    Raises UsageError where a table is written in a form that no line can be added to.
    """
    end = "\r\n" if "\r\n" in text else "\n"
    for group, settings in _by_group(found).items():
        lines = "".join(f"{_found(one)}{end}" for one in settings)
        heading = re.search(_HEADING.format(name=re.escape(target.name), group=group), text, re.MULTILINE)
        if heading:
            break_ = "" if heading[0].endswith("\n") else end
            text = f"{text[: heading.end()]}{break_}{lines}{text[heading.end() :]}"
        else:
            gap = "" if not text or text.endswith("\n\n") else end if text.endswith("\n") else end * 2
            text = f"{text}{gap}[targets.{target.name}.{group}]{end}{lines}"
    return text


def must_hold(before: str, after: str, target: Target, found: Sequence[Found], path: Path) -> None:
    """Raise UsageError unless a new text says what the old one said, and what was found."""
    expected = tomllib.loads(before)
    for one in found:
        table = expected.setdefault("targets", {}).setdefault(target.name, {}).setdefault(one.group, {})
        table[one.key] = str(one.value)
    try:
        is_right = tomllib.loads(after) == expected
    except tomllib.TOMLDecodeError:
        is_right = False
    if not is_right:
        raise UsageError(
            "What was found cannot be added to this file line by line; nothing was written",
            where=str(path),
            fix=f"write its tables as [targets.{target.name}.GROUP], or copy from {inv('init --print')}",
        )


def added_lines(before: str, after: str, path: Path) -> str:
    """Return the difference without lines around it: those that were there may hold a secret."""
    old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    lines = unified_diff(old, new, str(path), str(path), n=0)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _setting(group: Group, name: str, key: str, info: FieldInfo, found: Found | None) -> str:
    """Return the line of a setting: given where it was found or set, else behind a #."""
    source = group.source(key)
    if found:
        return _found(found)
    if is_secret(info):
        path = str(source.secret_file) if source.kind == "file" and source.secret_file else ""
        sign, file = ("", path) if path else ("# ", f"{name}-{key.replace('_', '-')}.txt")
        return f"{sign}{key}_file = {in_toml(file)}  # {info.description}"
    value = getattr(group, key)
    if source.kind == "file":
        return f"{key} = {in_toml(_plain(value))}  # {info.description}"
    default = info.get_default()
    example = default if default not in {None, ""} else (info.examples or ["..."])[0]
    return f"# {key} = {in_toml(_plain(example))}  # {info.description}"


def _found(one: Found) -> str:
    return f"{one.key} = {in_toml(_plain(one.value))}  # {_line(one.why)}"


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def _line(text: str) -> str:
    return visible_line(text)


def _by_group(found: Sequence[Found]) -> Mapping[str, Sequence[Found]]:
    return {group: [one for one in found if one.group == group] for group in dict.fromkeys(one.group for one in found)}
