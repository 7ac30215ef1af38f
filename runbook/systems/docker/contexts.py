"""Contexts of the docker program: which one is current, and the engine that one names.

The SDK reads them too (`docker.context`, 7.2), and is not used for it: what it cannot read or find it takes for the
default engine, without a word; it drops a certificate authority that stands there without a client certificate, and
then speaks in the clear; and without a config.json it looks for `contexts` in the working directory.
Source: the docker program's `cli/context/store` and `cli/command/cli.go`.
"""

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from runbook.errors import UsageError
from runbook.systems.engine_addresses import EngineAddressError, check_engine_address

T = TypeVar("T")

DEFAULT: Final = "default"
VARIABLE: Final = "DOCKER_CONTEXT"
_CONFIG_VARIABLE: Final = "DOCKER_CONFIG"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tls:
    """What the engine is trusted by and we are known by: paths of PEM files; `verify` False accepts any engine."""

    ca: Path | None
    certificate: Path | None
    key: Path | None
    verify: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerContext:
    """A context: its name, what names it, and the address of its engine; `tls` None means in the clear."""

    name: str
    named_by: str
    address: str
    tls: Tls | None


class _Config(msgspec.Struct):
    current: str = msgspec.field(name="currentContext", default="")


class _Endpoint(msgspec.Struct, rename="pascal"):
    host: str = ""
    skip_verify: bool = msgspec.field(name="SkipTLSVerify", default=False)


class _Endpoints(msgspec.Struct):
    docker: _Endpoint | None = None


class _Meta(msgspec.Struct, rename="pascal"):
    endpoints: _Endpoints


def config_file() -> Path:
    """Return the docker program's settings: config.json in `DOCKER_CONFIG`, else in ~/.docker."""
    folder = os.environ.get(_CONFIG_VARIABLE) or "~/.docker"
    return Path(os.path.expanduser(folder)) / "config.json"  # noqa: PTH111 - Path fails without a home


def current_context(platform: str = sys.platform) -> DockerContext | None:
    """Return the context that `DOCKER_CONTEXT`, else config.json names; None for none and for `default`.

    Raises UsageError for a file that cannot be read, a context that is not there, and one without a usable engine.
    """
    path = config_file()
    name, named_by = os.environ.get(VARIABLE, ""), VARIABLE
    if not name:
        config = _read(path, _Config, fix=f"correct {path}, or set DOCKER_HOST to the engine")
        name, named_by = (config.current if config else ""), f"currentContext of {path}"
    return None if name in {"", DEFAULT} else _context(path.parent / "contexts", name, named_by, platform)


def _context(folder: Path, name: str, named_by: str, platform: str) -> DockerContext:
    digest = hashlib.sha256(name.encode()).hexdigest()
    path = folder / "meta" / digest / "meta.json"
    meta = _read(path, _Meta, fix=f"docker context rm --force {name}, then create it again, or {_another(named_by)}")
    if meta is None:
        raise UsageError(
            f"There is no Docker context {name!r}",
            where=f"{named_by}, {path.parent}",
            fix=f"choose one of docker context ls: {_another(named_by)}",
        )
    endpoint = meta.endpoints.docker
    if endpoint is None or not endpoint.host:
        raise UsageError(
            f"The Docker context {name!r} names no Docker engine",
            where=f"{named_by}, {path}",
            fix=f"docker context update {name} --docker host=ADDRESS, or {_another(named_by)}",
        )
    try:
        check_engine_address(endpoint.host, platform)
    except EngineAddressError as error:
        raise UsageError(
            f"The engine of the Docker context {name!r} {error}",
            where=f"{named_by}, {path}",
            fix=f"docker context update {name} --docker host={error.right}",
        ) from None
    tls = _tls(folder / "tls" / digest / "docker", skip_verify=endpoint.skip_verify)
    return DockerContext(name=name, named_by=named_by, address=endpoint.host, tls=tls)


def _another(named_by: str) -> str:
    return f"{VARIABLE}=NAME" if named_by == VARIABLE else "docker context use NAME"


def _tls(folder: Path, *, skip_verify: bool) -> Tls | None:
    """Return what is there of the three files; none and nothing to skip means that the engine speaks in the clear."""
    ca, certificate, key = (
        path if path.exists() else None for path in (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    )
    if not (ca or certificate or key or skip_verify):
        return None
    return Tls(ca=ca, certificate=certificate, key=key, verify=not skip_verify)


def _read(path: Path, kind: type[T], *, fix: str) -> T | None:
    """Return what a JSON file holds, None if there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        seen = f"The settings of the docker program cannot be read: {error.strerror}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        seen = f"The settings of the docker program are damaged: {error}"
    raise UsageError(seen, where=str(path), fix=fix)
