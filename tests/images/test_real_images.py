"""The images of the real programs, as far as no engine is needed: what goes into them, and how each of them starts."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from runbook.errors import RunbookError
from runbook.local_stack import kafka, keycloak
from runbook.local_stack.maven import install_java, pinned_version
from runbook.local_stack.real import REAL
from tests.images import real_images
from tests.images.build import SQLITE, VARIABLES, built_images
from tests.images.real_images import _argument_file, real_image
from tests.images.tags import CHECKOUT, IMAGES

# Stands in for Java: notes what it is given, a call a line.
JAVA = '#!/bin/sh\necho "$@" >>"$CALLS"\n'


@pytest.fixture
def no_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that has no image yet, and no image that a variable names."""
    for name in REAL:
        monkeypatch.delenv(real_image(name).variable, raising=False)
    monkeypatch.setattr(real_images, "is_there", lambda _: False)


@pytest.fixture
def no_java(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without Java and with an empty cache."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("no_images", "no_java")
def test_what_is_missing_is_said_with_its_package() -> None:
    """PostgreSQL comes with the root file system; Kafka and Keycloak come by Maven."""
    real_image("postgres").look(print)
    for name in ("kafka", "keycloak"):
        with pytest.raises(RunbookError, match="Java is not here") as caught:
            real_image(name).look(print)
        assert caught.value.fix == install_java()


@pytest.mark.usefixtures("no_images", "no_java")
def test_an_image_that_is_named_or_built_needs_no_java(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYCLOAK_IMAGE", "quay.io/keycloak/keycloak:26.0")
    monkeypatch.setattr(real_images, "is_there", lambda image: image == real_image("kafka").tag)

    for name in REAL:
        real_image(name).look(print)


def test_images_that_are_all_named_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is built, and no engine is asked. Without the real PostgreSQL there is no database to start."""
    named = {variable: f"registry.example/{part}:1" for variable, part in VARIABLES.items()}
    database = {"APEXFLOW_DB_IMAGE": "postgres:16"}
    for variable, image in (named | database).items():
        monkeypatch.setenv(variable, image)
    monkeypatch.setenv("PATH", "")

    assert built_images(print, REAL) == named | database
    assert built_images(print) == named | SQLITE


def builder(*options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as docs/DOCKER.md has it, with neither Docker nor Java."""
    command = [sys.executable, "-m", "tests.images", *options]
    env = {"PATH": "", **environment}
    return subprocess.run(command, cwd=CHECKOUT, env=env, capture_output=True, text=True, check=False)


def test_builder_prints_the_variables_for_the_stack() -> None:
    named = {variable: f"registry.example/{part}:1" for variable, part in VARIABLES.items()}

    done = builder(**named)

    assert (done.returncode, done.stderr) == (0, "")
    assert dict(line.split("=", 1) for line in done.stdout.splitlines()) == named | SQLITE


def test_builder_without_an_engine_says_so_and_prints_no_variable() -> None:
    done = builder("--real", "kafka")

    assert (done.returncode, done.stdout) == (4, "")
    assert re.fullmatch(r"There is no program docker\nPATH\nFix: .*install docker\.io .*\n", done.stderr)


def test_each_image_says_what_is_inside() -> None:
    """By the labels that stack.status reads: a stand-in says so, and the real programs are given their versions."""
    labels = {
        part: (IMAGES / part / "Dockerfile").read_text(encoding="utf-8").count("LABEL crm-events-runbook.plays=")
        for part in VARIABLES.values()
    }
    assert set(labels.values()) == {1}
    stand_ins = [
        part
        for part in VARIABLES.values()
        if " crm-events-runbook.kind=stand-in\n" in (IMAGES / part / "Dockerfile").read_text(encoding="utf-8")
    ]
    assert set(VARIABLES.values()) - set(stand_ins) == {"prometheus", "alertmanager", "sink"}
    assert [real_image(name).plays for name in ("kafka", "keycloak", "postgres")] == [
        f"Apache Kafka {pinned_version(kafka.POM)}",
        f"Keycloak {pinned_version(keycloak.POM)}",
        "PostgreSQL 15",
    ]


def command_of_kafka(port: str) -> list[str]:
    """The command that monitoring/compose.yaml gives to the service kafka."""
    text = (CHECKOUT / "monitoring/compose.yaml").read_text(encoding="utf-8")
    words: list[str] = yaml.safe_load(text)["services"]["kafka"]["command"]
    return [re.sub(r"\$\{KAFKA_PORT:-\d+\}", port, word) for word in words]


def started_kafka(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the image's start.sh in a folder, beside the files that the image has, with what only notes Java's calls."""
    home, working = folder / "kafka", folder / "data"
    home.mkdir(exist_ok=True)
    working.mkdir(exist_ok=True)
    shutil.copy(IMAGES / "kafka-real/start.sh", home)
    (home / "node.properties").write_text(real_image("kafka").files["node.properties"])
    (folder / "java").write_text(JAVA)
    (folder / "java").chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(home / "start.sh"), *arguments],
        cwd=working,
        env={"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "CALLS": str(folder / "calls")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_kafka_listens_where_the_compose_file_has_redpanda_listen(tmp_path: Path) -> None:
    """Inside under its container's name, outside at the published port; the controller on loopback only."""
    done = started_kafka(tmp_path, *command_of_kafka("23456"))

    lines = (tmp_path / "data/server.properties").read_text().splitlines()
    properties = dict(line.split("=", 1) for line in lines)
    assert done.returncode == 0, done.stderr
    assert len(properties) == len(lines)
    assert properties["listeners"] == "inside://0.0.0.0:9092,outside://0.0.0.0:19092,CONTROLLER://127.0.0.1:9093"
    assert properties["advertised.listeners"] == "inside://kafka:9092,outside://localhost:23456"
    assert properties["listener.security.protocol.map"] == "inside:PLAINTEXT,outside:PLAINTEXT,CONTROLLER:PLAINTEXT"
    assert properties["inter.broker.listener.name"] == "inside"
    assert properties["controller.quorum.voters"] == "1@127.0.0.1:9093"


def test_kafka_formats_an_empty_folder_only(tmp_path: Path) -> None:
    """A restarted container keeps its topics; each first start makes another cluster."""
    started_kafka(tmp_path, *command_of_kafka("23456"))
    started_kafka(tmp_path, *command_of_kafka("23456"))
    (tmp_path / "data/log").mkdir()
    (tmp_path / "data/log/meta.properties").touch()
    started_kafka(tmp_path, *command_of_kafka("23456"))

    calls = (tmp_path / "calls").read_text()
    mains = re.findall(r"kafka\.(?:tools\.StorageTool|Kafka) ", calls)
    assert mains == [*("kafka.tools.StorageTool ", "kafka.Kafka ") * 2, "kafka.Kafka "]
    assert len(set(re.findall(r"--cluster-id (A[\w-]{21})$", calls, re.MULTILINE))) == 2


@pytest.mark.parametrize("missing", ["--kafka-addr", "--advertise-kafka-addr"])
def test_kafka_that_is_not_told_where_to_listen_says_so(tmp_path: Path, missing: str) -> None:
    done = started_kafka(tmp_path, *[word for word in command_of_kafka("1") if not word.startswith(missing)])

    assert done.returncode == 2
    assert "--kafka-addr and --advertise-kafka-addr are needed" in done.stderr
    assert not (tmp_path / "calls").exists()


def test_postgresql_without_a_password_says_so(tmp_path: Path) -> None:
    """As the official image: there is no database that everybody may read."""
    done = subprocess.run(
        ["/bin/sh", str(IMAGES / "postgres/start.sh")],
        env={"PATH": os.environ["PATH"], "PGDATA": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert "POSTGRES_PASSWORD" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_keycloak_names_the_issuer_that_the_gateway_expects() -> None:
    """The stand-ins of the gateway and of Keycloak, and the real Keycloak, agree on one name."""
    dockerfiles = (IMAGES / part / "Dockerfile" for part in ("gateway", "keycloak"))
    [issuer] = {re.findall(r"--issuer-url ([^\s\"]+)", file.read_text(encoding="utf-8"))[0] for file in dockerfiles}

    assert f'"--hostname={issuer}"' in real_image("keycloak").files["java.arguments"].splitlines()


def test_tag_follows_version_and_files() -> None:
    """What is unchanged is not built again; another program under the same name is."""
    image = real_image("kafka")
    newer, otherwise = replace(image, version="4.4.1"), replace(image, files={**image.files, "java.options": ""})

    assert real_image("kafka").tag == image.tag
    assert len({image.tag, newer.tag, otherwise.tag}) == 3


def test_arguments_reach_java_as_they_are() -> None:
    r"""In a file for Java, one argument a line stands in quotes, within which only quotes and \ need one more \."""
    written = _argument_file("-Dformat=yyyy-MM-dd'T'HH", 'say "C:\\x"')

    assert written == """"-Dformat=yyyy-MM-dd'T'HH"\n"say \\"C:\\\\x\\""\n"""
