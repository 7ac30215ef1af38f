"""Why a Docker engine was not reached, told apart: no socket, no answer, no permission, TLS, ssh, too old."""

import os
import ssl
import sys
from typing import Final
from urllib.parse import urlsplit

from runbook.errors import UnreachableError
from runbook.systems.docker.location import EngineLocation
from runbook.systems.docker.start import start_engine
from runbook.systems.failures import causes, failure_reason
from runbook.systems.http_answer import EXCERPT_CHARACTERS, shortened

_SAID: Final = {
    "missing": "its socket does not exist",
    "permission": "permission denied on its socket",
    "refused": "connection refused",
    "timeout": "it does not answer",
    "dns": "its name does not resolve",
}
# The engine's own words (Go's net/http) to who speaks to its TLS port in the clear.
_WANTS_TLS: Final = "HTTP request to an HTTPS server"
_WITHOUT_PARAMIKO: Final = "Install paramiko"
_PIPES: Final = "pywintypes"
_NO_FILE, _DENIED, _BUSY = 2, 5, 231  # winerror.h, of CreateFile for a pipe


def unreachable(error: Exception, location: EngineLocation, platform: str = sys.platform) -> UnreachableError:
    """Return, for the caller to raise, what an error of the SDK means to an operator."""
    reason, said, fix = _meaning(error, location, platform)
    if location.tried:
        fix = f"{fix}. Tried in this order: {'; '.join((*location.tried, location.where))}"
    return UnreachableError(
        f"The Docker engine cannot be reached: {said}", where=location.where, fix=fix, reason=reason
    )


def is_of_a_pipe(error: Exception) -> bool:
    """Tell whether pywin32 raised it, whose errors are no OSError."""
    return type(error).__module__ == _PIPES


def _meaning(error: Exception, location: EngineLocation, platform: str) -> tuple[str, str, str]:
    """Return reason, words and fix."""
    from docker.errors import InvalidVersion, TLSParameterError

    found = causes(error)
    words = f"it gave no usable answer: {shortened(str(error), EXCERPT_CHARACTERS)}"
    if _WITHOUT_PARAMIKO in str(error):
        return "broken", "ssh:// needs the package paramiko, which is not installed here", _tunnel(location)
    if any(isinstance(cause, TLSParameterError) for cause in found):
        return "broken", f"TLS without certificates: {_absent_files(location)}", _tls_fix(location)
    for cause in found:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "broken", f"its certificate is not trusted: {cause.verify_message}", _tls_fix(location)
    if _WANTS_TLS in str(error) or any(isinstance(cause, ssl.SSLError) for cause in found):
        return "broken", words, _tls_fix(location)
    if any(isinstance(cause, InvalidVersion) for cause in found):
        return "broken", words, "use an engine from version 20.10 on (API 1.41)"
    reason = _reason(error, found)
    return reason, _SAID.get(reason, words), _fix(reason, location, platform)


def _reason(error: Exception, found: list[BaseException]) -> str:
    codes = {getattr(cause, "winerror", None) for cause in found}
    if any(isinstance(cause, FileNotFoundError) for cause in found) or _NO_FILE in codes:
        return "missing"
    if any(isinstance(cause, PermissionError) for cause in found) or _DENIED in codes:
        return "permission"
    return "timeout" if _BUSY in codes else failure_reason(error)


def _fix(reason: str, location: EngineLocation, platform: str) -> str:
    if reason == "permission":
        return _permitted(location, platform)
    if reason == "missing" and location.candidates:
        here = ", ".join(map(str, location.candidates))
        return f"set {location.setting} to the engine that is meant; these are here: {here}"
    another = f"set {location.setting} (or DOCKER_HOST) to the engine"
    if location.context:
        another = f"choose another context than {location.context.name} (docker context ls), or {another}"
    return f"{start_engine(location, platform)}, or {another}"


def _permitted(location: EngineLocation, platform: str) -> str:
    if platform == "win32":
        return "net localgroup docker-users %USERNAME% /add as administrator, then log in again"
    if "podman" in location.address:
        return "sudo, or an engine of your own: systemctl --user start podman.socket"
    return "sudo usermod -aG docker $USER, then log in again"


def _tunnel(location: EngineLocation) -> str:
    parts = urlsplit(location.address)
    variable = location.setting if location.named_by == location.setting else "DOCKER_HOST"
    tunnel = f"ssh -NL ./docker.sock:/var/run/docker.sock {parts.netloc.partition(':')[0] or 'HOST'}"
    return f"{tunnel}, then set {variable}=unix://$PWD/docker.sock"


def _absent_files(location: EngineLocation) -> str:
    if location.context:
        return f"those of the context {location.context.name} are not whole"
    folder = os.environ.get("DOCKER_CERT_PATH") or os.path.join(os.path.expanduser("~"), ".docker")  # noqa: PTH111, PTH118 - as the SDK finds it
    absent = [name for name in ("ca.pem", "cert.pem", "key.pem") if not os.path.isfile(os.path.join(folder, name))]  # noqa: PTH113, PTH118 - as the SDK asks
    return f"{', '.join(absent) or 'what it needs'} not in {folder}"


def _tls_fix(location: EngineLocation) -> str:
    if location.context:
        files = "ca=PATH,cert=PATH,key=PATH"
        return f"docker context update {location.context.name} --docker host={location.address},{files}"
    return "set DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH to a folder with ca.pem, cert.pem and key.pem, or neither"
