"""Keycloak as a process: the distribution that Maven fetches, with the realm of the facts imported at each start."""

import secrets
import shutil
from collections.abc import Callable
from pathlib import Path

from runbook.local_stack.fetching import run_fetcher
from runbook.local_stack.layout import Layout
from runbook.local_stack.maven import JVM_OPTIONS, JavaProgram, found_java_program, install_java
from runbook.local_stack.ports import Ports
from runbook.local_stack.service_spec import ServiceSpec, inherited, local_url
from runbook.systems.processes.launcher import Launch, write_private

_PROGRAM = Path(__file__).parent / "programs/keycloak"
POM = _PROGRAM / "pom.xml"
_REALM = "aetherlink"
REALM_FILE = _PROGRAM / f"{_REALM}-realm.json"
_THREADS = "io.quarkus.bootstrap.forkjoin.QuarkusForkJoinWorkerThreadFactory"
# What bin/kc.sh gives to Java, without the options that only a debugger or a container needs.
_JAVA_OPTIONS = (
    "-XX:MaxMetaspaceSize=256m",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/java.security=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    f"-Djava.util.concurrent.ForkJoinPool.common.threadFactory={_THREADS}",
    "-Djava.util.logging.manager=org.jboss.logmanager.LogManager",
    "-Dpicocli.disable.closures=true",
    "-Dquarkus-log-max-startup-records=10000",
)
_LOG_FORMAT = "%d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z'} %-5p [%c] %s%e%n"


def found_keycloak(says: Callable[[str], None]) -> JavaProgram:
    """Find Keycloak in the cache, or fetch it. Raises RunbookError."""
    return found_java_program("Keycloak", POM, says=says, finish=_built)


def prepare_keycloak(layout: Layout, program: JavaProgram) -> None:
    """Make the folder that it takes for its home, its own data and the cached programs, and its admin's password."""
    home = _home(layout)
    (home / "conf").mkdir(parents=True)
    (home / "data/import").mkdir(parents=True)
    (home / "lib").symlink_to(program.folder / "lib")
    shutil.copy(REALM_FILE, home / "data/import")
    write_private(layout.keycloak_admin, secrets.token_hex().encode())


def keycloak_service(layout: Layout, ports: Ports, program: JavaProgram) -> ServiceSpec:
    """Return the service. Its database is in memory: a restart brings the same realm with other keys."""
    home = _home(layout)
    options = ("--http-host=127.0.0.1", f"--http-port={ports.keycloak}", "--hostname-strict=false")
    return ServiceSpec(
        name="keycloak",
        plays=f"Keycloak {program.version}",
        kind="real",
        launch=Launch(
            command=(str(program.java), *java_arguments(str(home), str(program.folder / "lib"), *options)),
            directory=str(home),
            environment={**inherited(), "KC_BOOTSTRAP_ADMIN_USERNAME": "admin"},
            environment_files={"KC_BOOTSTRAP_ADMIN_PASSWORD": str(layout.keycloak_admin)},
        ),
        ready=f"{local_url(ports.keycloak)}/realms/{_REALM}",
        address=local_url(ports.keycloak),
        ports=(ports.keycloak,),
        patience_s=180.0,
        detail="database in memory",
    )


def java_arguments(home: str, library: str, *options: str) -> tuple[str, ...]:
    """Return what Java is given: `home` has its own data, `library` the programs, `options` its port and its name."""
    return (
        *JVM_OPTIONS,
        *_JAVA_OPTIONS,
        f"-Dkc.home.dir={home}",
        f"-Djboss.server.config.dir={home}/conf",
        "-cp",
        f"{library}/quarkus-run.jar",
        "io.quarkus.bootstrap.runner.QuarkusEntryPoint",
        "start",
        "--optimized",
        "--import-realm",
        "--http-enabled=true",
        "--cache=local",  # alone: no ports for peers
        f"--log-console-format={_LOG_FORMAT}",
        *options,
    )


def _built(java: Path, folder: Path) -> Path:
    """Let Keycloak generate its start-up code once, which `start-dev` does at each first start (measured: 15 s)."""
    [distribution] = folder.iterdir()
    command = ("env", f"JAVA={java}", "sh", "bin/kc.sh", "build", "--db=dev-mem")
    run_fetcher(command, distribution, what="Keycloak's start-up code", fix=f"see the lines above, or {install_java()}")
    return distribution


def _home(layout: Layout) -> Path:
    return layout.data / "keycloak"
