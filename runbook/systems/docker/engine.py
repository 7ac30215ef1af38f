"""One Docker engine through the Docker SDK, which is loaded on first use: where it is, and what its errors mean."""

import threading
from contextlib import contextmanager
from functools import cached_property
from math import ceil
from typing import TYPE_CHECKING

from runbook.systems.docker.errors import is_of_a_pipe, unreachable
from runbook.systems.docker.location import engine_location
from runbook.systems.docker.rights import READ, Right, refusal
from runbook.systems.runtime_settings import RuntimeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import APIClient
    from requests import Response


class Engine:
    """One engine. Connects on first use; `timeout_s` limits each request."""

    def __init__(self, settings: RuntimeSettings, timeout_s: float) -> None:
        """Find out where it is; nothing is connected to. Raises UsageError as `engine_location` does."""
        self.location = engine_location(settings)
        self.where = self.location.where
        self.program = self.location.program
        self.timeout_s = timeout_s
        self._lock = threading.Lock()
        self._opened: APIClient | None = None

    @cached_property
    def is_podman(self) -> bool:
        """Whether it is Podman, which is not Docker in all that it answers. Raises as `asking` does."""
        with self.asking("version") as client:
            parts = client.version(api_version=False).get("Components") or ()
        return any(str(part.get("Name", "")).startswith("Podman") for part in parts)

    @contextmanager
    def asking(self, what: str, right: Right = READ) -> "Iterator[APIClient]":
        """Lend the SDK's client for one question, which needs a right.

        Raises AnswerError for a refusal, UnreachableError for no answer.
        """
        from docker.errors import APIError, DockerException
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield self._client()
        except APIError as error:
            status, said = error.status_code or 0, error.explanation or ""
            raise refusal(what, right, status=status, said=said, where=self.where, program=self.program) from None
        except Exception as error:  # pywin32's errors of a pipe are no OSError; whatever else comes is raised on
            if isinstance(error, (DockerException, RequestException, HTTPError, OSError)) or is_of_a_pipe(error):
                raise unreachable(error, self.location) from None
            raise

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _client(self) -> "APIClient":
        """Return the client, connected on first use: that asks the engine for its API version."""
        with self._lock:
            if self._opened is None:
                from runbook.systems.docker.sdk import connected

                self._opened = connected(self.location, timeout_s=ceil(self.timeout_s))
            return self._opened


def answered(answer: "Response") -> "Response":
    """Return an answer that is no refusal; raises the SDK's APIError, in the engine's own words, for others."""
    from docker.errors import create_api_error_from_http_exception
    from requests import HTTPError

    try:
        answer.raise_for_status()
    except HTTPError as error:
        create_api_error_from_http_exception(error)
    return answer
