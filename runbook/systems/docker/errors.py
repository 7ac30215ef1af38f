"""Why a Docker engine was not reached, told apart: no socket, no answer, no permission, TLS, ssh, too old."""

import ssl
from typing import Final

from runbook.errors import UnreachableError
from runbook.systems.failures import causes, failure_reason
from runbook.systems.http_answer import EXCERPT_CHARACTERS, shortened

_SAID: Final = {
    "refused": "connection refused",
    "timeout": "it does not answer",
    "dns": "its name does not resolve",
}
# The engine's own words (Go's net/http) to who speaks to its TLS port in the clear.
_WANTS_TLS: Final = "HTTP request to an HTTPS server"
_WITHOUT_PARAMIKO: Final = "Install paramiko"


def unreachable(error: Exception, where: str) -> UnreachableError:
    """Return, for the caller to raise, what an error of the SDK means to an operator."""
    reason, said, fix = _meaning(error)
    return UnreachableError(f"The Docker engine cannot be reached: {said}", where=where, fix=fix, reason=reason)


def _meaning(error: Exception) -> tuple[str, str, str]:
    """Return reason, words and fix."""
    from docker.errors import InvalidVersion, TLSParameterError

    found = causes(error)
    words = f"it gave no usable answer: {shortened(str(error), EXCERPT_CHARACTERS)}"
    if any(isinstance(cause, FileNotFoundError) for cause in found):
        fix = "start Docker, or set RUNBOOK_RUNTIME_DOCKER_HOST (or DOCKER_HOST) to the engine"
        return "missing", "its socket does not exist", fix
    if any(isinstance(cause, PermissionError) for cause in found):
        return "permission", "permission denied on its socket", "sudo usermod -aG docker $USER, then log in again"
    if _WITHOUT_PARAMIKO in str(error):
        fix = "ssh -NL ./docker.sock:/var/run/docker.sock HOST, then set DOCKER_HOST=unix://$PWD/docker.sock"
        return "broken", "ssh:// needs the package paramiko, which is not installed here", fix
    if _WANTS_TLS in str(error) or any(isinstance(cause, ssl.SSLError | TLSParameterError) for cause in found):
        fix = "set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH to a folder with ca.pem, cert.pem and key.pem, or neither"
        return "broken", words, fix
    if any(isinstance(cause, InvalidVersion) for cause in found):
        return "broken", words, "use an engine from version 20.10 on (API 1.41)"
    reason = failure_reason(error)
    return reason, _SAID.get(reason, words), "start Docker: sudo systemctl start docker, or Docker Desktop"
