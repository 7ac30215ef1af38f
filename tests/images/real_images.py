"""The images of the real Kafka, Keycloak and PostgreSQL, for an engine that can pull none.

The folders beside this file say how each starts; the programs are those of the processes (kafka.py, keycloak.py), and
Debian's for PostgreSQL. Each tag is known without the programs: what was built once needs neither Java nor Maven.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from runbook.local_stack import kafka, keycloak
from runbook.local_stack.maven import pinned_version

from .root_images import REAL_ROOT
from .tags import IMAGES, contents, is_there, tag

Says = Callable[[str], None]

_CONTROLLER: Final = "127.0.0.1:9093"
_KEYCLOAK_HOME: Final = "/opt/keycloak"
_KEYCLOAK_NAME: Final = ("--http-port=8080", "--hostname=http://aether-keycloak:8080")  # the issuer of every token


@dataclass(frozen=True, slots=True, kw_only=True)
class RealImage:
    """One real program as an image.

    `variable` is that of monitoring/compose.yaml, `part` the folder of tests/images, `plays` for people. Beside its
    Dockerfile come `files`, name -> text, and what `programs` finds or fetches, name -> folder; `version` is theirs.
    """

    variable: str
    part: str
    plays: str
    version: str
    files: Mapping[str, str]
    programs: Callable[[Says], Mapping[str, Path]]

    @property
    def tag(self) -> str:
        """Return the tag of the image, built or not."""
        files = (f"{name}:{text}" for name, text in self.files.items())
        return tag(self.part, REAL_ROOT.tag, self.version, *files, *contents([IMAGES / self.part]))

    @contextmanager
    def context(self, says: Says) -> Iterator[Path]:
        """Have the folder that the image is built from. Raises RunbookError when a program cannot be had."""
        programs = self.programs(says)
        with tempfile.TemporaryDirectory(prefix="images-") as scratch:
            folder = Path(scratch)
            shutil.copytree(IMAGES / self.part, folder, dirs_exist_ok=True)
            for name, text in self.files.items():
                (folder / name).write_text(text, encoding="utf-8")
            for name, program in programs.items():
                shutil.copytree(program, folder / name)
            yield folder

    def look(self, says: Says) -> None:
        """Find or fetch what the image is made of, unless one is named or built. Raises RunbookError."""
        if not os.environ.get(self.variable) and not is_there(self.tag):
            self.programs(says)


def real_image(name: str) -> RealImage:
    """Return the image of one name in real.REAL."""
    return _IMAGES[name]()


def _kafka() -> RealImage:
    version = pinned_version(kafka.POM)
    return RealImage(
        variable="KAFKA_IMAGE",
        part="kafka-real",
        plays=f"Apache Kafka {version}",
        version=version,
        files={
            "node.properties": kafka.written(kafka.node_properties(_CONTROLLER)),
            "java.options": _argument_file(*kafka.JAVA_OPTIONS),
        },
        programs=lambda says: {"libs": kafka.found_kafka(says).folder},
    )


def _keycloak() -> RealImage:
    version = pinned_version(keycloak.POM)
    arguments = keycloak.java_arguments(_KEYCLOAK_HOME, f"{_KEYCLOAK_HOME}/lib", *_KEYCLOAK_NAME)
    return RealImage(
        variable="KEYCLOAK_IMAGE",
        part="keycloak-real",
        plays=f"Keycloak {version}",
        version=version,
        files={
            "realm.json": keycloak.REALM_FILE.read_text(encoding="utf-8"),
            "java.arguments": _argument_file(*arguments),
        },
        programs=lambda says: {"lib": keycloak.found_keycloak(says).folder / "lib"},
    )


def _postgres() -> RealImage:
    return RealImage(
        variable="APEXFLOW_DB_IMAGE",
        part="postgres",
        plays="PostgreSQL 15",
        version="",
        files={},
        programs=lambda _: {},
    )


_IMAGES: Final = MappingProxyType({"kafka": _kafka, "keycloak": _keycloak, "postgres": _postgres})


def _argument_file(*arguments: str) -> str:
    r"""Return a file for `java @FILE`: one argument a line, in quotes, within which \ and " mean something."""
    escaped = (argument.replace("\\", r"\\").replace('"', r"\"") for argument in arguments)
    return "".join(f'"{argument}"\n' for argument in escaped)
