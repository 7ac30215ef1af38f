"""What a proxy before the engine, or the engine itself, must let through, and what a refusal means to an operator.

A proxy such as docker-socket-proxy answers 403 with a page of its own; others answer 405 to a method that they forbid.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from runbook.errors import AnswerError
from runbook.systems.http_answer import EXCERPT_CHARACTERS, shortened

_REFUSED: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """Requests of the Engine API, and the variables with which docker-socket-proxy lets them through."""

    requests: str
    variables: str


READ: Final = Right(requests="GET /containers/...", variables="CONTAINERS=1")
RESTART: Final = Right(requests="POST /containers/NAME/restart", variables="CONTAINERS=1 ALLOW_RESTARTS=1")
READ_INSIDE: Final = Right(
    requests="POST /containers/NAME/exec and POST /exec/ID/start", variables="CONTAINERS=1 EXEC=1 POST=1"
)


def refusal(what: str, right: Right, *, status: int, said: str, where: str, program: str) -> AnswerError:
    """Return, for the caller to raise, the error of a request that was answered with `status`; code "forbidden".

    `program` is what is typed to ask the engine: docker, or podman.
    """
    if status in _REFUSED:
        return AnswerError(
            f"The Docker engine, or a proxy before it, does not allow this ({what}): {status}",
            where=where,
            fix=f"let {right.requests} through (docker-socket-proxy: {right.variables})",
            status=status,
            code="forbidden",
        )
    return AnswerError(
        f"The Docker engine refused ({what}): {status} {shortened(said, EXCERPT_CHARACTERS)}",
        where=where,
        fix=f"{program} ps -a",
        status=status,
    )
