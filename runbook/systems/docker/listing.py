"""Every container of an engine by what the list of containers says: image, state, names and labels of Compose."""

from contextlib import closing
from dataclasses import dataclass
from typing import Final

import msgspec

from runbook.errors import AnswerError
from runbook.systems.docker.engine import Engine
from runbook.systems.docker.wire import Listed
from runbook.systems.runtime_settings import RuntimeSettings

_PROJECT: Final = "com.docker.compose.project"
_FILES: Final = "com.docker.compose.project.config_files"
_FOLDER: Final = "com.docker.compose.project.working_dir"


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One container. `image` is the last part of its repository (`grafana` of `docker.io/grafana/grafana:11.2.0`).

    `compose_files` and `compose_folder` are where its project was started from, on the host of whoever started it.
    """

    name: str
    image: str
    state: str
    service: str
    project: str
    compose_files: tuple[str, ...]
    compose_folder: str

    @property
    def described(self) -> str:
        """Its name with image, state and project."""
        parts = (self.image, self.state, f"project {self.project}" if self.project else "")
        return f"{self.name} ({', '.join(part for part in parts if part)})"


class _More(Listed):
    image: str = ""


def containers(settings: RuntimeSettings, timeout_s: float = 10) -> tuple[Container, ...]:
    """Return every container by name. Raises UnreachableError and AnswerError, as DockerRuntime does."""
    engine = Engine(settings, timeout_s)
    with closing(engine), engine.asking("list of containers") as client:
        answer = client.containers(all=True)
    try:
        listed = msgspec.convert(answer, list[_More])
    except msgspec.ValidationError as error:
        seen = f"The Docker engine answered in an unknown shape: {error}"
        raise AnswerError(seen, where=engine.where, fix="docker version", status=200, code="shape") from None
    return tuple(sorted(map(_container, listed), key=lambda one: one.name))


def _container(one: _More) -> Container:
    labels = one.labels or {}
    return Container(
        name=one.name,
        image=_repository(one.image),
        state=one.state,
        service=one.service,
        project=labels.get(_PROJECT, ""),
        compose_files=tuple(path for path in labels.get(_FILES, "").split(",") if path),
        compose_folder=labels.get(_FOLDER, ""),
    )


def _repository(image: str) -> str:
    """Return the last part of a repository, without registry, tag and digest."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[0]
