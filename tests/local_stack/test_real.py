"""Where the real programs come from: what is missing is said with its package, what was fetched is fetched once."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from runbook.errors import RunbookError, UsageError
from runbook.local_stack import postgres
from runbook.local_stack.fetching import cache_root
from runbook.local_stack.maven import found_java_program, install_java
from runbook.local_stack.postgres import found_postgres, missing_login
from runbook.local_stack.real import all_there_is, found_programs, wanted_real
from runbook.local_stack.tools import found_tools
from runbook.systems.processes.launcher import MARKER

POM = '<project xmlns="http://maven.apache.org/POM/4.0.0"><version>4.4.0</version></project>'
JAVA = "#!/bin/sh\necho 'openjdk version \"{version}\" 2025-04-15' >&2\n"
# Stands in for Maven: makes the folder that it is asked for, and notes the call.
MAVEN = f"""#!{sys.executable}
import os, pathlib, sys
with open(os.environ["CALLS"], "a") as calls:
    calls.write(" ".join(sys.argv[1:]) + "\\n")
if os.environ.get("BROKEN"):
    sys.exit("[ERROR] Could not transfer artifact org.apache.kafka:kafka_2.13")
folder = next(word.partition("=")[2] for word in sys.argv if word.startswith("-Dfolder="))
pathlib.Path(folder).mkdir()
pathlib.Path(folder, "kafka.jar").write_text(pathlib.Path("pom.xml").read_text())
"""
UP = """
import sys
from pathlib import Path
from runbook.interrupts import become_interruptible
from runbook.observer import NullObserver
from runbook.local_stack import stack

become_interruptible()
stack.up(Path(sys.argv[1]), NullObserver(), real=frozenset({"postgres"}))
"""


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache, an empty PATH and no PostgreSQL of Debian; return the folder that is on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for variable in ("JAVA_HOME", "BROKEN"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("CALLS", str(tmp_path / "calls"))
    monkeypatch.setattr(postgres, "_DEBIAN", tmp_path / "postgresql")
    return folder


@pytest.fixture
def pom(tmp_path: Path) -> Path:
    path = tmp_path / "pom.xml"
    path.write_text(POM)
    return path


def program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def java(folder: Path, version: str = "17.0.15") -> Path:
    return program(folder / "java", JAVA.format(version=version))


def test_the_wish_is_read() -> None:
    assert wanted_real("kafka=real, keycloak=real") == {"kafka", "keycloak"}


@pytest.mark.parametrize("text", ["", "kafka", "kafka=mock", "redis=real", "kafka=real,"])
def test_a_wish_that_is_not_understood(text: str) -> None:
    """The error quotes the word and lists all that there is."""
    with pytest.raises(UsageError) as caught:
        wanted_real(text)
    assert caught.value.fix == "choose from kafka=real,keycloak=real,postgres=real"


def test_a_name_that_nobody_knows() -> None:
    with pytest.raises(UsageError, match="no real program for 'redis'"):
        found_programs(frozenset({"redis"}), print)


@pytest.mark.usefixtures("bare")
def test_nothing_is_here() -> None:
    """Each missing program is named with the line that installs it, and the others would still be found."""
    said: list[str] = []
    assert all_there_is(said.append) == frozenset()
    assert said == [
        f"no real kafka: Java is not here ({install_java()})",
        f"no real keycloak: Java is not here ({install_java()})",
        f"no real postgres: PostgreSQL is not here ({postgres.install_postgres()})",
    ]


@pytest.mark.usefixtures("bare")
def test_without_a_shell_only_stand_ins_can_play(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows: said before anything is fetched, with what can be used instead."""
    monkeypatch.setattr("runbook.platforms.SHELL", Path("/nowhere/sh"))
    with pytest.raises(RunbookError, match="started by a POSIX shell") as caught:
        found_programs(frozenset({"kafka"}), print)
    assert "stack.up --docker" in caught.value.fix


@pytest.mark.parametrize(("version", "said"), [("11.0.27", "Java 11 is too old"), ("1.8.0_452", "Java 8 is too old")])
def test_an_old_java(bare: Path, pom: Path, version: str, said: str) -> None:
    java(bare, version)
    with pytest.raises(RunbookError, match=said):
        found_java_program("Kafka", pom, says=print)


def test_a_java_that_does_not_run(bare: Path, pom: Path) -> None:
    """Its own words are quoted."""
    program(bare / "java", "#!/bin/sh\necho 'no such library' >&2; exit 127\n")
    with pytest.raises(RunbookError, match="no such library"):
        found_java_program("Kafka", pom, says=print)


def test_java_without_maven(bare: Path, pom: Path) -> None:
    java(bare)
    with pytest.raises(RunbookError, match="Maven is not here to fetch it") as caught:
        found_java_program("Kafka", pom, says=print)
    assert caught.value.fix == install_java()


def test_what_was_fetched_is_never_fetched_again(bare: Path, pom: Path, tmp_path: Path) -> None:
    """The second time not even Maven is needed; another pom.xml is another folder."""
    java(bare)
    maven = program(bare / "mvn", MAVEN)
    said: list[str] = []
    first = found_java_program("Kafka", pom, says=said.append)
    maven.unlink()
    assert found_java_program("Kafka", pom, says=said.append) == first
    assert (first.version, (first.folder / "kafka.jar").read_text()) == ("4.4.0", POM)
    assert len(said) == 1
    program(maven, MAVEN)
    pom.write_text(POM.replace("4.4.0", "4.4.1"))
    assert found_java_program("Kafka", pom, says=said.append).folder != first.folder
    assert len((tmp_path / "calls").read_text().splitlines()) == 2


def test_the_java_of_java_home_wins(bare: Path, pom: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    java(bare, "11.0.27")
    program(bare / "mvn", MAVEN)
    wanted = java(tmp_path / "jdk/bin")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "jdk"))
    assert found_java_program("Kafka", pom, says=print).java == wanted


def test_a_fetch_that_fails(bare: Path, pom: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Maven is quoted, and no half of a program stays in the cache."""
    java(bare)
    program(bare / "mvn", MAVEN)
    monkeypatch.setenv("BROKEN", "1")
    with pytest.raises(RunbookError, match="Could not transfer artifact"):
        found_java_program("Kafka", pom, says=print)
    assert [path.name for path in cache_root().iterdir() if path.is_dir()] == []


@pytest.mark.usefixtures("bare")
def test_the_newest_postgresql_of_debian_is_taken(tmp_path: Path) -> None:
    """15 is newer than 9, and a folder without a server counts nothing."""
    for version in ("9", "15"):
        program(
            tmp_path / f"postgresql/{version}/bin/postgres", f"#!/bin/sh\necho 'postgres (PostgreSQL) {version}.4'\n"
        )
        program(tmp_path / f"postgresql/{version}/bin/initdb", "#!/bin/sh\n")
    program(tmp_path / "postgresql/17/bin/psql", "#!/bin/sh\n")
    if os.geteuid() == 0:
        (tmp_path / "bin/setpriv").symlink_to("/usr/bin/setpriv")
    found = found_postgres()
    assert (found.version, found.programs) == ("15.4", tmp_path / "postgresql/15/bin")
    assert (found.account is not None) == (os.geteuid() == 0)


@contextmanager
def answering(answer: bytes) -> Iterator[int]:
    """A server that says this to one client; yield its port."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"R\0\0\0\x17\0\0\0\nSCRAM-SHA-256\0\0", ""),
        (b"E\0\0\0\x40SFATAL\0C57P03\0Mthe database system is starting up\0\0", "the database system is starting up"),
        (b"", "the connection was closed"),
    ],
    ids=["asks for the password", "starts up", "closes"],
)
def test_a_login_is_what_makes_postgresql_ready(answer: bytes, said: str) -> None:
    """It listens before it takes logins: only the question for a password counts."""
    with answering(answer) as port:
        assert missing_login("127.0.0.1", port) == (f"127.0.0.1:{port}: {said}" if said else "")


@pytest.mark.real
@pytest.mark.stack
@pytest.mark.parametrize("moment", ["postgres/PG_VERSION", "postgres/pg_hba.conf", "postgres/postmaster.pid"])
def test_an_interrupt_while_postgresql_makes_its_files(tmp_path: Path, moment: str) -> None:
    """Those who write there run as another account if we are root: they end too, and nothing of the data stays."""
    try:
        found_tools(print)
        found_postgres()
    except RunbookError as error:
        if os.environ.get("CI") == "true" and os.geteuid() == 0 and shutil.which("java"):
            raise
        pytest.skip(str(error))
    up = subprocess.Popen([sys.executable, "-c", UP, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / ".stack/data" / moment).exists():
        assert up.poll() is None
    up.send_signal(signal.SIGINT)
    _, said = up.communicate(timeout=30)
    assert up.returncode == 130, said
    assert [path.name for path in (tmp_path / ".stack").iterdir()] == ["logs"]
    assert _marked(tmp_path / ".stack") == []


def _marked(root: Path) -> list[str]:
    """Every process with the stack's mark, of whatever account."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARKER) == str(root) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found
