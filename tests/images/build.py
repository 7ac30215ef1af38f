"""The images of the stack in containers, for an engine that can pull nothing: built once, from packages and wheels.

A tag is the hash of everything that goes into the image, so what is unchanged is never built again. Below each lies a
root file system of Debian's (root_images.py); the rest are the Dockerfiles beside this file, which need no network:
wheels are installed outside and copied in. An image that its variable names (`GRAFANA_IMAGE`) is used as it is.
"""

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from runbook.errors import RunbookError
from runbook.local_stack.engine import docker, run
from runbook.local_stack.images import PLAYS_LABEL

from .real_images import RealImage, real_image
from .root_images import REAL_ROOT, ROOT, root_image
from .tags import CHECKOUT, IMAGES, REPOSITORY, contents, is_there, tag

VARIABLES: Final[Mapping[str, str]] = {
    "PROMETHEUS_IMAGE": "prometheus",
    "ALERTMANAGER_IMAGE": "alertmanager",
    "GRAFANA_IMAGE": "grafana",
    "KAFKA_IMAGE": "kafka",
    "KEYCLOAK_IMAGE": "keycloak",
    "TRAEFIK_IMAGE": "proxy",
    "GATEWAY_IMAGE": "gateway",
    "APEXFLOW_IMAGE": "apexflow",
    "SINK_IMAGE": "sink",
}
"""The variable of monitoring/compose.yaml, and the folder of tests/images that is built for it."""

SQLITE: Final = {"APEXFLOW_DATABASE_URL": "/var/lib/apexflow/apexflow.sqlite"}
"""What keeps the stack from starting a database: the stand-in of ApexFlow does without."""

_PROJECT: Final = ("pyproject.toml", "README.md", "tasks.py", "monitoring", "runbook", "sink")  # what its wheel is of
_FROM_ROOT: Final = frozenset({"prometheus", "alertmanager", "proxy"})
_PYTHON: Final = "3.11"  # of the root file system: the wheels are for it, whatever Python runs this
_FOR_IMAGES: Final = (
    "--python-version", _PYTHON, "--implementation", "cp", "--only-binary", ":all:", "--no-compile",
)  # fmt: skip

Says = Callable[[str], None]


def built_images(says: Says, real: Collection[str] = ()) -> dict[str, str]:
    """Return the variables for monitoring/compose.yaml, building the images that are not there; `says` tells of each.

    `real` names the parts that real programs play instead of stand-ins (real.REAL). Raises UsageError where the root
    file system cannot be made, RunbookError when a program is missing or a build fails.
    """
    real_ones = {image.variable: image for image in map(real_image, sorted(real))}
    named = {name: os.environ[name] for name in (*VARIABLES, *real_ones) if os.environ.get(name)}
    parts = {name: part for name, part in VARIABLES.items() if name not in named and name not in real_ones}
    programs = {name: image for name, image in real_ones.items() if name not in named}
    others = {} if "postgres" in real else SQLITE
    if not parts and not programs:
        return named | others
    for image in programs.values():
        image.look(says)
    built = _built_parts(parts, says) | _built_programs(programs, says)
    _forget_outdated(built.values())
    return named | {variable: built[variable] for variable in (*parts, *programs)} | others


def _built_parts(parts: Mapping[str, str], says: Says) -> dict[str, str]:
    """Return variable -> image, and those that they are made from: Debian's packages, and this project."""
    if not parts:
        return {}
    root = root_image(says)
    python = _python_image(root, says)
    return {ROOT.name: root, "python": python} | {
        variable: _part_image(part, ("ROOT", root) if part in _FROM_ROOT else ("PYTHON", python), says)
        for variable, part in parts.items()
    }


def _built_programs(programs: Mapping[str, RealImage], says: Says) -> dict[str, str]:
    """Return variable -> image of the real programs, and the one that they are made from."""
    if not programs:
        return {}
    root = root_image(says, REAL_ROOT)
    return {REAL_ROOT.name: root} | {
        variable: _program_image(image, root, says) for variable, image in programs.items()
    }


def _part_image(part: str, parent: tuple[str, str], says: Says) -> str:
    folder = IMAGES / part
    image = tag(part, parent[1], *contents([folder]))
    return image if is_there(image) else _built(image, folder, parent, says)


def _program_image(image: RealImage, root: str, says: Says) -> str:
    if is_there(image.tag):
        return image.tag
    with image.context(says) as folder:
        return _built(image.tag, folder, ("ROOT", root), says, plays=image.plays)


def _python_image(root: str, says: Says) -> str:
    folder = IMAGES / "python"
    wheels = _locked(folder / "packages.txt")
    image = tag("python", root, *wheels, *contents([folder, *(CHECKOUT / path for path in _PROJECT)]))
    if is_there(image):
        return image
    with tempfile.TemporaryDirectory(prefix="images-") as scratch:
        context = Path(scratch)
        shutil.copy(folder / "Dockerfile", context)
        says(f"installing {len(wheels)} locked wheels and this project for Python {_PYTHON} ...")
        (context / "locked.txt").write_text("".join(wheels), encoding="utf-8")
        _pip("install", *_FOR_IMAGES, "--require-hashes", "-r", f"{context}/locked.txt", "--target", f"{context}/site")
        _pip("wheel", "--no-build-isolation", "--wheel-dir", str(context), str(CHECKOUT))
        _pip(
            "install", "--no-index", "--no-compile", "--target", f"{context}/project", *map(str, context.glob("*.whl"))
        )
        return _built(image, context, ("ROOT", root), says)


def _built(image: str, context: Path, parent: tuple[str, str], says: Says, *, plays: str = "") -> str:
    says(f"building {image} ...")
    label = ("--label", f"{PLAYS_LABEL}={plays}") if plays else ()
    docker("build", "--quiet", "--tag", image, "--build-arg", "=".join(parent), *label, str(context))
    return image


def _forget_outdated(current: Collection[str]) -> None:
    """Remove earlier images of what is current, those of parts before what they are made from; one in use stays.

    Those of parts that nobody has asked for now stay: the next one may.
    """
    format_ = "{{.Repository}}:{{.Tag}}"
    there = docker("image", "ls", "--format", format_, f"{REPOSITORY}/*").split()
    known = {image.partition(":")[0] for image in current}
    outdated = [image for image in there if image not in current and image.partition(":")[0] in known]
    made_from = tuple(f"{REPOSITORY}/{name}:" for name in (ROOT.name, REAL_ROOT.name, "python"))
    for image in sorted(outdated, key=lambda image: image.startswith(made_from)):
        with suppress(RunbookError):
            docker("image", "rm", image)


def _pip(*arguments: str) -> None:
    quiet = ("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps")
    run((sys.executable, "-m", "pip", *arguments, *quiet), environment={"PIP_ROOT_USER_ACTION": "ignore"})


def _locked(names: Path) -> list[str]:
    """Return the lines of requirements.lock for each of these packages, hashes included."""
    lock = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    blocks = {block.partition("==")[0]: block for block in re.split(r"^(?=[a-z0-9])", lock, flags=re.MULTILINE)}
    wanted = names.read_text(encoding="utf-8").split()
    missing = [name for name in wanted if name not in blocks]
    if missing:
        raise RunbookError(f"{missing[0]} is not locked", where=str(names), fix="correct the name, or lock the package")
    return [blocks[name] for name in wanted]
