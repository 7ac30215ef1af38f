"""One Docker engine through the Docker SDK, which is loaded on first use: where it is, and what its errors mean."""

import os
import threading
from contextlib import contextmanager
from math import ceil
from typing import TYPE_CHECKING

from runbook.errors import AnswerError, UsageError
from runbook.systems.addresses import holds_password
from runbook.systems.docker.errors import unreachable
from runbook.systems.runtime_settings import RuntimeSettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import APIClient


class Engine:
    """One engine. Connects on first use; `timeout_s` limits each request."""

    def __init__(self, settings: RuntimeSettings, timeout_s: float) -> None:
        """Keep the address; nothing is opened. Raises UsageError when DOCKER_HOST holds a password."""
        self.address = settings.docker_host or _docker_host()
        self.where = f"Docker engine at {self.address or 'its default socket'}"
        self.timeout_s = timeout_s
        self._lock = threading.Lock()
        self._opened: APIClient | None = None

    @contextmanager
    def asking(self, what: str) -> "Iterator[APIClient]":
        """Lend the SDK's client for one question. Raises AnswerError for a refusal, UnreachableError for no answer."""
        from docker.errors import APIError, DockerException
        from requests import RequestException
        from urllib3.exceptions import HTTPError

        try:
            yield self._client()
        except APIError as error:
            raise AnswerError(
                f"The Docker engine refused ({what}): {error.status_code} {error.explanation}",
                where=self.where,
                fix="docker ps -a",
                status=error.status_code or 0,
            ) from None
        except (DockerException, RequestException, HTTPError, OSError) as error:
            raise unreachable(error, self.where) from None

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            opened, self._opened = self._opened, None
        if opened is not None:
            opened.close()

    def _client(self) -> "APIClient":
        """Return the client, connected on first use: that asks the engine for its API version."""
        from docker import APIClient
        from docker.utils import kwargs_from_env

        with self._lock:
            if self._opened is None:
                environment = {**os.environ, "DOCKER_HOST": self.address or ""}
                self._opened = APIClient(timeout=ceil(self.timeout_s), **kwargs_from_env(environment=environment))
            return self._opened


def _docker_host() -> str | None:
    address = os.environ.get("DOCKER_HOST")
    if address and holds_password(address):
        raise UsageError(
            "The address of the Docker engine holds a password, which Docker does not take",
            where="environment variable DOCKER_HOST",
            fix="use TLS (DOCKER_CERT_PATH) or ssh://USER@HOST",
        )
    return address
