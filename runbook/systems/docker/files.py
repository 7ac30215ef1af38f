"""A file as a container sees it."""

import tarfile
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from runbook.errors import AnswerError
from runbook.systems.docker.engine import Engine, answered
from runbook.systems.docker.rights import READ_INSIDE
from runbook.systems.docker.wire import Listed, demultiplexed, only_file
from runbook.systems.http_answer import EXCERPT_CHARACTERS, shortened

if TYPE_CHECKING:
    from docker import APIClient

MAX_FILE_BYTES: Final = 20_000_000
_TAR_OVERHEAD_BYTES: Final = 20_480
_CHUNK_BYTES: Final = 65_536
_NO_FILE: Final = (b"No such file or directory", b"Is a directory", b"Not a directory")
_NO_PROGRAM: Final = frozenset({126, 127})


def file_inside(engine: Engine, container: Listed, path: str) -> bytes | None:
    """Return a file as the container sees it; None if there is none.

    A running container reads it itself, with `cat`. The engine's archive would not do: for that, the engine mounts the
    sources again, so a file that was replaced by renaming looks new there, while the container still has the old one
    (measured with engine 20.10). A stopped container will see what the archive holds when it starts.
    """
    if container.state == "running":
        return _own_reading(engine, container, path)
    archive, link_target = _archive(engine, container, path)
    if link_target:
        archive, _ = _archive(engine, container, link_target)
    return None if archive is None else _content(engine, container, path, archive)


def _content(engine: Engine, container: Listed, path: str, archive: bytes) -> bytes | None:
    try:
        return only_file(archive)
    except tarfile.TarError as error:  # Podman's is empty if the container starts meanwhile
        raise AnswerError(
            f"The engine sent no archive of {path} in {container.name}: {str(error).splitlines()[0]}",
            where=engine.where,
            fix=f"{engine.program} ps -a: does it start again and again?",
            status=HTTPStatus.OK,
            code="shape",
        ) from None


def _own_reading(engine: Engine, container: Listed, path: str) -> bytes | None:
    """Let the container print a file."""
    with engine.asking(f"file {path}", READ_INSIDE) as client:
        command = client.exec_create(container.id, ["cat", path])["Id"]
        printed = _printed(client, command, container, path, engine)
        code = client.exec_inspect(command)["ExitCode"]
    content, complaint = demultiplexed(printed)
    if code == 0:
        return content
    if complaint.rstrip().endswith(_NO_FILE):
        return None
    said = (complaint or content).decode("utf-8", errors="replace").strip()
    raise AnswerError(
        f"{container.name} could not read {path}: {shortened(said, EXCERPT_CHARACTERS)}",
        where=engine.where,
        fix="docker exec works with an image that holds `cat`, and with a file that its user may read",
        status=HTTPStatus.OK,
        code="no_cat" if code in _NO_PROGRAM else "unreadable",
    )


def _printed(client: "APIClient", command: str, container: Listed, path: str, engine: Engine) -> bytes:
    """Start a command and return its output, multiplexed.

    The SDK's own `exec_start` takes the bare socket after the headers, and loses what came in together with them:
    1 of 60 outputs on a busy machine (measured with docker 7.1). An answer that is read as HTTP loses nothing.
    """
    url = f"{client.base_url}/v{client.api_version}/exec/{command}/start"
    printed = bytearray()
    wanted = {"Detach": False, "Tty": False}
    with answered(client.post(url, json=wanted, stream=True, timeout=engine.timeout_s)) as answer:
        for chunk in answer.iter_content(_CHUNK_BYTES):
            printed += chunk
            if len(printed) > MAX_FILE_BYTES + _TAR_OVERHEAD_BYTES:
                raise _too_large(engine, container, path)
    return bytes(printed)


def _archive(engine: Engine, container: Listed, path: str) -> tuple[bytes | None, str]:
    """Return a path as a tar archive (None: no such path), and where it points if it is a link."""
    from docker.errors import NotFound

    with engine.asking(f"file {path}") as client:
        try:
            chunks, stat = client.get_archive(container.id, path)
        except NotFound:
            return None, ""
        archive = bytearray()
        for chunk in chunks:
            archive += chunk
            if len(archive) > MAX_FILE_BYTES + _TAR_OVERHEAD_BYTES:
                chunks.close()
                raise _too_large(engine, container, path)
        return bytes(archive), stat.get("linkTarget") or ""


def _too_large(engine: Engine, container: Listed, path: str) -> AnswerError:
    return AnswerError(
        f"{path} in {container.name} has more than {MAX_FILE_BYTES:,} bytes",
        where=engine.where,
        fix="check the path: it should be a configuration file",
        status=200,
        code="too_large",
    )
