"""The SDK's client for an engine that has been located; whoever imports this loads the SDK."""

import os
import warnings
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from docker import APIClient
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env
from urllib3.exceptions import InsecureRequestWarning

from runbook.systems.addresses import is_this_host
from runbook.systems.docker.contexts import Tls
from runbook.systems.docker.location import EngineLocation


class EngineClient(APIClient):
    """The SDK's client, without two habits of requests."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:  # noqa: ANN401 - requests' own types are not public
        """Let REQUESTS_CA_BUNDLE not overrule the engine's own authority, and no proxy stand before this host."""
        merged = super().merge_environment_settings(
            url, proxies, stream, self.verify if verify is None else verify, cert
        )
        if is_this_host(urlsplit(str(url)).hostname or ""):
            merged["proxies"] = {}
        return merged


def connected(location: EngineLocation, *, timeout_s: int) -> APIClient:
    """Return a client that has asked the engine for its API version; raises what the SDK raises."""
    return EngineClient(base_url=location.address, timeout=timeout_s, **_tls(location))


def _tls(location: EngineLocation) -> Mapping[str, Any]:
    """Return the SDK's argument: of a context its own files, else what DOCKER_TLS_VERIFY and DOCKER_CERT_PATH name.

    A socket, a pipe and ssh have no use for either.
    """
    if not location.address.startswith("tcp://"):
        return {}
    if location.context is None:
        return kwargs_from_env(environment={**os.environ, "DOCKER_HOST": ""})
    tls = location.context.tls
    if tls and not tls.verify:  # so it was created (skip-tls-verify): no warning at every request
        warnings.filterwarnings("ignore", f".*host '{urlsplit(location.address).hostname}'", InsecureRequestWarning)
    return {"tls": _of_context(tls)} if tls else {}


def _of_context(tls: Tls) -> TLSConfig:
    pair = (str(tls.certificate or ""), str(tls.key or "")) if tls.certificate or tls.key else None
    return TLSConfig(client_cert=pair, ca_cert=str(tls.ca) if tls.ca else None, verify=tls.verify)
