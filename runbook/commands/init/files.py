"""Where the two files are: by what is mounted, else in the folders of compose projects and where you work."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from runbook.commands.init.survey import Survey
from runbook.errors import RunbookError
from runbook.files.file_discovery import DASHBOARD, RULES, dashboard_path, rules_path
from runbook.files.file_io import read_document
from runbook.settings import Target
from runbook.systems.runtime import Runtime

_PATHS: Final[dict[str, Callable[[Target, Runtime], Path]]] = {"dashboard": dashboard_path, "rules": rules_path}
_BELOW: Final = {"dashboard": Path("grafana") / "dashboards" / DASHBOARD, "rules": Path(RULES)}


def find_files(survey: Survey, runtime: Runtime, folders: Sequence[Path]) -> None:
    """Find both files; `folders` are looked into where nothing that is mounted leads to a file of this host."""
    if survey.target.runtime.is_managed:
        _find_rules_inside(survey, runtime)
    refusals = {key: error for key in _PATHS if (error := _refusal(survey, runtime, key))}
    if refusals:
        _find_in_folders(survey, folders, refusals)
    _find_uid(survey, runtime)


def _find_rules_inside(survey: Survey, runtime: Runtime) -> None:
    """Find the path of the rules file inside, where another one than the set one is mounted under its own name."""
    settings = survey.target.prometheus
    try:
        mounts = runtime.mounts(settings.as_service)
    except RunbookError:
        return  # said already by whoever looked for the container
    inside = PurePosixPath(settings.rules_inside)
    if any(PurePosixPath(mount.destination) in {inside, inside.parent} for mount in mounts):
        return
    named = [mount.destination for mount in mounts if RULES in {Path(mount.source).name, Path(mount.destination).name}]
    if len(named) == 1:
        survey.finds("prometheus", "rules_inside", named[0], f"{RULES} is mounted there")


def _refusal(survey: Survey, runtime: Runtime, key: str) -> RunbookError | None:
    """Return why a file is not found by settings and mounts; None where it is, which is remarked."""
    try:
        path = _PATHS[key](survey.target, runtime)
    except RunbookError as error:
        return error
    if not path.is_file():
        where, fix = str(path), f"correct {survey.target.files.place_of(key)}"
        return RunbookError(f"The {key} file is not there", where=where, fix=fix)
    survey.remarks_on("files", f"{key}: {path}")
    return None


def _find_in_folders(survey: Survey, folders: Sequence[Path], refusals: dict[str, RunbookError]) -> None:
    for folder in folders:
        if all((folder / below).is_file() for below in _BELOW.values()):
            why = f"it holds {_BELOW['dashboard'].as_posix()} and {RULES}"
            survey.finds("files", "monitoring_dir", folder.absolute(), why)
            return
    for key, error in refusals.items():
        paths = [path for folder in folders if (path := folder / _BELOW[key]).is_file()]
        if len(paths) == 1:
            survey.finds("files", key, paths[0].absolute(), "the only one of that name where compose and you work")
            continue
        survey.cannot_tell(
            f"The {key} file was not found: {error.seen}",
            where=f"{error.where}; {', '.join(map(str, folders)) or 'no folder of compose'}",
            fix=f"set {survey.target.files.place_of(key)} to the path of {_BELOW[key].name}",
        )


def _find_uid(survey: Survey, runtime: Runtime) -> None:
    """Take the uid of the dashboard from its file."""
    try:
        path = dashboard_path(survey.target, runtime)
        uid = json.loads(read_document(path).decode("utf-8-sig")).get("uid")
    except (RunbookError, ValueError, AttributeError, RecursionError):
        return  # setup says what is wrong with the file
    if isinstance(uid, str) and uid:
        survey.finds("grafana", "dashboard_uid", uid, f"the uid in {path.name}")
