"""The images of the Docker stack, for an engine that can pull nothing: built here, once, from packages and wheels.

A tag is the hash of everything that goes into the image, so what is unchanged is never built again. The root file
system comes from `debootstrap` (which needs root) and is kept as an archive in the cache; the rest are the Dockerfiles
of tests/images, which need no network: wheels are installed outside and copied in. An image that its variable names
(`GRAFANA_IMAGE`) is used as it is.
"""

import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from runbook.errors import RunbookError, UsageError
from runbook.listings import PartKind
from runbook.stack.engine import docker, run
from runbook.stack.fetching import cache_root, fetched_once, run_fetcher

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

PLAYS: Final[Mapping[str, tuple[str, PartKind]]] = {
    "prometheus": ("Prometheus", "real"),
    "alertmanager": ("Alertmanager", "real"),
    "sink": ("CRM events sink", "real"),
    "grafana": ("Grafana's HTTP API", "stand-in"),
    "kafka": ("librdkafka's mock cluster", "stand-in"),
    "keycloak": ("a small issuer", "stand-in"),
    "proxy": ("nginx, for Traefik", "stand-in"),
    "gateway": ("gateway", "stand-in"),
    "apexflow": ("ApexFlow, with SQLite", "stand-in"),
}
"""What is inside the images that are built here. Whatever another image plays is real."""

CHECKOUT: Final = Path(__file__).resolve().parents[2]
_IMAGES: Final = CHECKOUT / "tests" / "images"
_PROJECT: Final = ("pyproject.toml", "README.md", "tasks.py", "monitoring", "runbook", "sink")  # what its wheel is of
_FROM_ROOT: Final = frozenset({"prometheus", "alertmanager", "proxy"})
_REPOSITORY: Final = "crm-events-runbook"
_SUITE: Final = "bookworm"
_PYTHON: Final = "3.11"  # of that suite: the wheels are for it, whatever Python runs this
_PACKAGES: Final = (
    "python3-minimal",
    "libpython3-stdlib",
    "python3-venv",  # with it this is a base for sink/Dockerfile as well
    "libjemalloc2",  # the same
    "nginx-light",
    "socat",
    "prometheus",
    "prometheus-alertmanager",
)
_LEFT_OUT: Final = tuple(
    f"--exclude=./{path}"
    for path in ("usr/share/javascript", "usr/share/doc", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists")
)
_ARCHIVE: Final = "root.tar.gz"
_FOR_IMAGES: Final = (
    "--python-version", _PYTHON, "--implementation", "cp", "--only-binary", ":all:", "--no-compile",
)  # fmt: skip
_TAG_CHARACTERS: Final = 16

Says = Callable[[str], None]


def built_images(says: Says) -> dict[str, str]:
    """Return variable -> image for every part, building what is not there; `says` is told of each build.

    Raises UsageError outside of a checkout, or where the root file system cannot be made; RunbookError when a build
    fails.
    """
    named = {variable: os.environ[variable] for variable in VARIABLES if os.environ.get(variable)}
    wanted = {variable: part for variable, part in VARIABLES.items() if variable not in named}
    if not wanted:
        return named
    if not _IMAGES.is_dir():
        raise UsageError(
            "The images can only be built in a checkout",
            where=str(_IMAGES),
            fix=f"name an image in each of {', '.join(wanted)}",
        )
    root = root_image(says)
    python = _python_image(root, says)
    built = {variable: _part_image(part, root, python, says) for variable, part in wanted.items()}
    _forget_outdated({root, python, *built.values()})
    return named | built


def part_of(image: str) -> str:
    """Return which folder of tests/images an image was built from; empty for one that comes from elsewhere."""
    repository, _, part = image.partition(":")[0].partition("/")
    return part if repository == _REPOSITORY and part in PLAYS else ""


def _part_image(part: str, root: str, python: str, says: Says) -> str:
    parent = ("ROOT", root) if part in _FROM_ROOT else ("PYTHON", python)
    folder = _IMAGES / part
    tag = _tag(part, parent[1], *_contents([folder]))
    return tag if _is_there(tag) else _built(tag, folder, parent, says)


def _python_image(root: str, says: Says) -> str:
    folder = _IMAGES / "python"
    wheels = _locked(folder / "packages.txt")
    tag = _tag("python", root, *wheels, *_contents([folder, *(CHECKOUT / path for path in _PROJECT)]))
    if _is_there(tag):
        return tag
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
        return _built(tag, context, ("ROOT", root), says)


def _built(tag: str, context: Path, parent: tuple[str, str], says: Says) -> str:
    says(f"building {tag} ...")
    docker("build", "--quiet", "--tag", tag, "--build-arg", "=".join(parent), str(context))
    return tag


def root_image(says: Says) -> str:
    """Return the image of the root file system, made now if need be. Raises UsageError, RunbookError."""
    tag = _tag("root", _SUITE, *_PACKAGES, *_LEFT_OUT)
    if _is_there(tag):
        return tag
    kept = cache_root() / f"root-{tag.partition(':')[2]}-{platform.machine()}"
    archive = fetched_once(kept, lambda scratch: _bootstrapped(scratch, says)) / _ARCHIVE
    says(f"importing {archive} as {tag} ...")
    docker("import", str(archive), tag)
    return tag


def _bootstrapped(scratch: Path, says: Says) -> Path:
    """Make the root file system; a mount namespace of its own takes all mounts with it, however it ends."""
    fix = f"apt-get install debootstrap, as root; or name an image in each of {', '.join(VARIABLES)}"
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise UsageError(
            "The root file system of the images cannot be made: that takes root and debootstrap",
            where="debootstrap",
            fix=fix,
        )
    says(f"making the root file system of the images: Debian {_SUITE}, once, about a minute ...")
    root, kept = scratch / "root", scratch / "kept"
    kept.mkdir()
    make = ("unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}")
    pack = ("tar", "--create", "--use-compress-program=gzip -1", f"--file={kept / _ARCHIVE}", f"--directory={root}")
    run_fetcher((*make, _SUITE, str(root)), scratch, what="The root file system", fix=fix)
    run_fetcher((*pack, *_LEFT_OUT, "."), scratch, what="The root file system", fix=fix)
    return kept


def _forget_outdated(current: Collection[str]) -> None:
    """Remove the images of earlier contents, those of parts before what they are made from; one in use stays."""
    format_ = "{{.Repository}}:{{.Tag}}"
    there = docker("image", "ls", "--format", format_, f"{_REPOSITORY}/*").split()
    made_from = (f"{_REPOSITORY}/root:", f"{_REPOSITORY}/python:")
    for tag in sorted(set(there) - set(current), key=lambda tag: tag.startswith(made_from)):
        with suppress(RunbookError):
            docker("image", "rm", tag)


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


def _contents(paths: Iterable[Path]) -> Iterator[str]:
    """Yield name and content of every file, but for what Python leaves behind."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield f"{file.relative_to(CHECKOUT)}:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def _tag(part: str, *contents: str) -> str:
    digest = hashlib.sha256("\n".join(contents).encode()).hexdigest()
    return f"{_REPOSITORY}/{part}:{digest[:_TAG_CHARACTERS]}"


def _is_there(tag: str) -> bool:
    return bool(docker("image", "ls", "--quiet", tag).strip())
