"""Java programs from Maven's repositories: the jars that a pom.xml of ours pins, resolved once into the cache."""

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

from runbook.errors import RunbookError
from runbook.local_stack.fetching import cache_root, fetched_once, run_fetcher
from runbook.shell import install

JVM_MIB = 512
# Up in seconds instead of fast for hours: the first compiler only, and the collector with the least threads.
JVM_OPTIONS = (f"-Xmx{JVM_MIB}m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Duser.timezone=UTC")
_JAVA_AT_LEAST = 17  # Kafka 4 and Keycloak 26
_ANSWER_S = 20
_HASH_DIGITS = 12
_POM = "{http://maven.apache.org/POM/4.0.0}"


@dataclass(frozen=True, slots=True, kw_only=True)
class JavaProgram:
    """A program that `java` runs from `folder`; `version` is its own."""

    java: Path
    folder: Path
    version: str


def found_java_program(
    name: str,
    pom: Path,
    *,
    says: Callable[[str], None],
    finish: Callable[[Path, Path], Path] = lambda _, folder: folder,
) -> JavaProgram:
    """Find what `pom` pins in the cache, or let Maven fetch it; `finish(java, folder)` makes it ready to run.

    The cache's key is the content of `pom`. With Java but without Maven, what was fetched before still runs. Raises
    RunbookError.
    """
    java, version = found_java(), pinned_version(pom)
    key = hashlib.sha256(pom.read_bytes()).hexdigest()[:_HASH_DIGITS]
    destination = cache_root() / f"{name.lower()}-{version}-{key}"

    def fill(scratch: Path) -> Path:
        says(f"fetching {name} {version} into {destination.parent}, once ...")
        shutil.copy(pom, scratch / "pom.xml")
        command = (
            _maven(name),
            "-B",
            "-q",
            "--strict-checksums",
            f"-Dfolder={scratch / 'folder'}",
            "generate-resources",
        )
        run_fetcher(command, scratch, what=f"{name} {version}", fix="see Maven's lines above; then again")
        return finish(java, scratch / "folder")

    return JavaProgram(java=java, folder=fetched_once(destination, fill), version=version)


def pinned_version(pom: Path) -> str:
    """Return the version that a pom.xml of ours pins."""
    version = ET.parse(pom).findtext(f"{_POM}version")  # noqa: S314 - a file of this package
    if version is None:
        raise ValueError(f"{pom} names no version")
    return version


def install_java() -> str:
    """Return how Java and Maven are installed here."""
    windows = "winget install EclipseAdoptium.Temurin.21.JRE, and Maven by hand (maven.apache.org)"
    return install(apt="default-jre-headless maven", brew="openjdk maven", windows=windows)


def found_java() -> Path:
    """Return the Java of JAVA_HOME, else of PATH. Raises RunbookError if there is none, or an old one."""
    home = os.environ.get("JAVA_HOME")
    path = shutil.which("java", path=Path(home) / "bin") if home else shutil.which("java")
    if path is None:
        raise RunbookError("Java is not here", where=f"JAVA_HOME={home}" if home else "PATH", fix=install_java())
    version = _java_version(path)
    if version < _JAVA_AT_LEAST:
        raise RunbookError(
            f"Java {version} is too old: {_JAVA_AT_LEAST} or newer is needed",
            where=path,
            fix=f"{install_java()}, or set JAVA_HOME",
        )
    return Path(path).absolute()


def _java_version(java: str) -> int:
    """Return 17 for 17.0.15, and 8 for 1.8.0."""
    try:
        done = subprocess.run(
            (java, "-version"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_ANSWER_S,
            check=False,
        )
        said = done.stderr.strip()
    except (OSError, subprocess.TimeoutExpired) as error:
        said = str(error)
    found = re.search(r'version "(?:1\.)?(\d+)', said)
    if not found:
        raise RunbookError(f"Java does not say its version: {said}", where=f"{java} -version", fix=install_java())
    return int(found[1])


def _maven(name: str) -> str:
    maven = shutil.which("mvn")
    if maven is None:
        raise RunbookError(
            f"{name} is not in the cache, and Maven is not here to fetch it", where="PATH", fix=install_java()
        )
    return maven
