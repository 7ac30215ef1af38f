"""A PostgreSQL server of the tests' own: Debian's programs, a free port, data that goes away."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from tests.sink.sink_process import free_ports, wait_until

_DEBIAN = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server, which listens on loopback alone and trusts everybody there."""

    port: int
    process: subprocess.Popen[bytes]

    def new_database(self) -> str:
        """Make a database and return its address."""
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as db:
            ((count,),) = db.execute("SELECT count(*) FROM pg_database").fetchall()
            db.execute(f"CREATE DATABASE test{count}")
        return self.dsn(f"test{count}")

    def dsn(self, name: str) -> str:
        """Return the address of a database."""
        return f"postgresql://sink:never-shown@127.0.0.1:{self.port}/{name}"

    def freeze(self) -> None:
        """Stop every process of the server: connections stay, and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let the server go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        """Signal the server first, so that no further child comes; one that has just ended is passed over."""
        os.kill(self.process.pid, number)
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, check=False)
        for pid in map(int, listed.stdout.split()):
            with suppress(ProcessLookupError):
                os.kill(pid, number)


def postgres_programs() -> Path | None:
    """Return the folder of initdb and postgres, if they are installed."""
    found = [folder for folder in _DEBIAN if (folder / "initdb").exists()]
    on_path = shutil.which("initdb")
    return found[0] if found else Path(on_path).parent if on_path else None


@contextmanager
def postgres_server(programs: Path) -> Iterator[PostgresServer]:
    """Start a server and end it afterwards. PostgreSQL refuses to run as root, so root starts it as nobody."""
    as_user: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="sink-postgres-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o777)
        data, log, (port,) = f"{folder}/data", Path(folder, "log"), free_ports(1)
        made = [str(programs / "initdb"), "-D", data, "-U", "sink", "-A", "trust", "--no-sync", "-E", "UTF8"]
        subprocess.run(made, cwd=folder, check=True, capture_output=True, **as_user)
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
        command = [str(programs / "postgres"), "-D", data, "-p", str(port)]
        command += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        with log.open("wb") as file:
            process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=file, **as_user)
        server = PostgresServer(port, process)
        try:
            wait_until(lambda: _answers(server) or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield server
        finally:
            server.thaw()
            process.send_signal(signal.SIGQUIT)  # at once: the data goes away with the folder
            process.wait(20)


def _answers(server: PostgresServer) -> bool:
    try:
        psycopg.connect(server.dsn("postgres"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
