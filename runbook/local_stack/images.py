"""The images of the stack in containers: those of monitoring/compose.yaml, or of its variables in the environment.

An image can say by two labels what is inside, for `stack.status`; one without them counts as the real program.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from runbook.errors import RunbookError, UsageError
from runbook.invocation import inv
from runbook.local_stack.engine import docker
from runbook.observer import Observer

PLAYS_LABEL: Final = "crm-events-runbook.plays"
KIND_LABEL: Final = "crm-events-runbook.kind"
"""`stand-in` where the image holds a stand-in."""

_VARIABLE: Final = re.compile(r"\$\{(?P<name>\w+)(?::-(?P<default>[^}]*))?\}")
_BUILT_ON_THE_SPOT: Final = ":local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """One image: its name, and the variable of monitoring/compose.yaml that names another one."""

    name: str
    variable: str


def variables(compose: Path) -> frozenset[str]:
    """Return the names of the variables of a compose file."""
    return frozenset(found["name"] for found in _VARIABLE.finditer(compose.read_text(encoding="utf-8")))


def named_images(compose: Path, environment: Mapping[str, str]) -> dict[str, Image]:
    """Return compose service -> image."""
    services = yaml.safe_load(compose.read_text(encoding="utf-8"))["services"]
    found = {service: _VARIABLE.fullmatch(one["image"]) for service, one in services.items()}
    return {
        service: Image(name=environment.get(match["name"]) or match["default"], variable=match["name"])
        for service, match in found.items()
        if match
    }


def pull_missing(images: Collection[Image], observer: Observer) -> None:
    """Pull what the engine does not have. Raises UsageError for one that no registry has, RunbookError."""
    missing = [image for image in images if not docker("image", "ls", "--quiet", image.name).strip()]
    own = [image for image in missing if image.name.endswith(_BUILT_ON_THE_SPOT)]
    if own:
        names = ", ".join(image.name for image in own)
        raise UsageError(
            f"This engine does not have {names}, and AetherLink's own images are never pulled",
            where="monitoring/compose.yaml",
            fix=f"build them, or name others: {_with_others(own)}; see docs/DOCKER.md, Images",
        )
    for image in missing:
        observer.says(f"pulling {image.name} ...")
        try:
            docker("pull", "--quiet", image.name)
        except RunbookError as error:
            raise RunbookError(
                f"{image.name} could not be pulled: {error.seen.splitlines()[-1]}",
                where=f"{image.variable} of monitoring/compose.yaml",
                fix=f"check the engine's way to the registry, or name another image: {_with_others([image])}",
            ) from None


def _with_others(images: Collection[Image]) -> str:
    named = " ".join(f"{image.variable}=IMAGE" for image in images)
    return f"{named} {inv('stack.up --docker')}"
