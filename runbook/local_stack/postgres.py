"""PostgreSQL as a process, for ApexFlow's data and the sink's journal: the distribution's programs.

PostgreSQL refuses to run as root. Started by root, it runs as the account `postgres`, else `nobody`, which need not be
able to reach the stack's folder: it gets its data folder as an open file descriptor.
"""

import re
import secrets
import shutil
import socket
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

from runbook.errors import RunbookError
from runbook.local_stack.layout import Layout
from runbook.local_stack.ports import Ports
from runbook.local_stack.service_spec import ServiceSpec, inherited
from runbook.platforms import account, is_root
from runbook.shell import install
from runbook.systems.processes.launcher import Launch, write_private

ROLE = "aetherlink"
APEXFLOW, JOURNAL = "apexflow", "crm_events"
_DEBIAN = Path("/usr/lib/postgresql")
_ACCOUNTS = ("postgres", "nobody")
_ANSWER_S = 10
_LOGIN_S = 1.0
_EXCERPT = 200
_PROTOCOL = 3 << 16  # version 3.0, of every server since 2003
# Each role and database is made before the first start, by the server alone on its files: the password travels by a
# pipe from the environment, never by an argument. Then the shell becomes the server, which keeps its process id. Until
# then a signal to the shell ends who works on the files, and the shell goes last. Nothing is synced to the disk: the
# crash of a process loses nothing, a power cut may.
_START = """
bin=$1 data=$2 port=$3 unsynced='-c fsync=off'; shift 3
if [ $# -gt 0 ]; then
    exec 9<"$data"
    cd /
    data=/proc/self/fd/9
fi
trap 'kill $! 2>/dev/null; wait; exit 143' TERM INT
if [ ! -f "$data/PG_VERSION" ]; then
    "$@" "$bin/initdb" -D "$data" -U postgres -A reject -E UTF8 --locale=C --no-sync >/dev/null &
    wait $!
    echo 'host all all 127.0.0.1/32 scram-sha-256' >"$data/pg_hba.conf"
    {
        echo "CREATE ROLE $ROLE LOGIN PASSWORD '$PGPASSWORD'"
        for database in $DATABASES; do echo "CREATE DATABASE $database OWNER $ROLE"; done
    } | "$@" "$bin/postgres" --single -D "$data" $unsynced -c log_min_error_statement=panic postgres >/dev/null &
    wait $!
fi
exec "$@" "$bin/postgres" -D "$data" $unsynced -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories=
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Postgres:
    """The folder of its programs, its version, and whom it runs as when we are root: user and group id."""

    programs: Path
    version: str
    account: tuple[int, int] | None


def install_postgres() -> str:
    """Return how PostgreSQL is installed here."""
    return install(apt="postgresql", brew="postgresql", windows="winget install PostgreSQL.PostgreSQL.17")


def found_postgres() -> Postgres:
    """Find the server on PATH, else where Debian puts it. Raises RunbookError."""
    server = shutil.which("postgres") or _newest_of_debian()
    if server is None:
        raise RunbookError("PostgreSQL is not here", where=f"PATH, {_DEBIAN}/*/bin", fix=install_postgres())
    programs = Path(server).resolve().parent
    if not (programs / "initdb").exists():
        raise RunbookError("PostgreSQL is not complete: initdb is missing", where=str(programs), fix=install_postgres())
    return Postgres(programs=programs, version=_version(server), account=_account() if is_root() else None)


def prepare_postgres(layout: Layout, ports: Ports, program: Postgres) -> None:
    """Make its folder and its password: PGPASSWORD for libpq, and the whole address for the sink's journal."""
    data = _data(layout)
    data.mkdir(mode=0o700)
    if program.account:
        shutil.chown(data, *program.account)
    password = secrets.token_hex()
    write_private(layout.database_password, password.encode())
    write_private(layout.journal_dsn, database_url(ports, JOURNAL, password).encode())


def postgres_service(layout: Layout, ports: Ports, program: Postgres) -> ServiceSpec:
    """Return the service, named as the runbook's installation names ApexFlow's database."""
    arguments = (str(program.programs), str(_data(layout)), str(ports.database), *_as_account(program))
    return ServiceSpec(
        name="apexflow-db",
        plays=f"PostgreSQL {program.version}",
        kind="real",
        launch=Launch(
            command=("/bin/sh", "-ec", _START, "postgres", *arguments),
            directory=str(layout.root),
            environment={**inherited(), "ROLE": ROLE, "DATABASES": f"{APEXFLOW} {JOURNAL}", "TZ": "UTC"},
            environment_files={"PGPASSWORD": str(layout.database_password)},
        ),
        ready=f"postgresql://127.0.0.1:{ports.database}",
        address=f"127.0.0.1:{ports.database}",
        ports=(ports.database,),
    )


def database_url(ports: Ports, database: str, password: str = "") -> str:
    """Return a libpq address; without a password it may stand in an argument."""
    secret = f":{password}" if password else ""
    return f"postgresql://{ROLE}{secret}@127.0.0.1:{ports.database}/{database}"


def missing_login(host: str, port: int) -> str:
    """Say what keeps the server from asking for a password, or nothing: it listens before it can do that."""
    hello = f"user\0{ROLE}\0database\0{APEXFLOW}\0\0".encode()
    with socket.create_connection((host, port), timeout=_LOGIN_S) as connection:
        connection.sendall(struct.pack("!ii", len(hello) + 8, _PROTOCOL) + hello)
        answer = connection.recv(_EXCERPT)
    if answer.startswith(b"R"):
        return ""
    said = [field[1:].decode(errors="replace") for field in answer[5:].split(b"\0") if field.startswith(b"M")]
    return f"{host}:{port}: {''.join(said) or 'the connection was closed'}"


def _as_account(program: Postgres) -> tuple[str, ...]:
    if program.account is None:
        return ()
    user, group = program.account
    return ("setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups", "--")


def _newest_of_debian() -> str | None:
    folders = [
        folder for folder in _DEBIAN.glob("*/bin") if folder.parent.name.isdecimal() and (folder / "postgres").exists()
    ]
    return str(max(folders, key=lambda folder: int(folder.parent.name)) / "postgres") if folders else None


def _version(server: str) -> str:
    done = subprocess.run(
        (server, "--version"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        timeout=_ANSWER_S,
        check=False,
    )
    found = re.search(r"\d+(?:\.\d+)*", done.stdout)
    if not found:
        raise RunbookError("PostgreSQL does not say its version", where=f"{server} --version", fix=install_postgres())
    return found[0]


def _account() -> tuple[int, int]:
    """Return who runs it instead of root, who has the program `setpriv` for that. Raises RunbookError."""
    if shutil.which("setpriv") is None:
        raise RunbookError(
            "PostgreSQL refuses to run as root, and setpriv is not here to start it as somebody else",
            where="PATH",
            fix="apt-get install util-linux, or do not run as root",
        )
    for name in _ACCOUNTS:
        if known := account(name):
            return known
    raise RunbookError(
        "PostgreSQL refuses to run as root, and there is no account to run it as",
        where=f"accounts {' and '.join(_ACCOUNTS)}",
        fix="do not run as root",
    )


def _data(layout: Layout) -> Path:
    return layout.data / "postgres"
