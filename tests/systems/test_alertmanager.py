"""Alertmanager's API: the real program for silences and their effect, a scripted server for refusals."""

import json
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from runbook.errors import AnswerError, RunbookError, UnreachableError
from runbook.systems.alertmanager.client import Alertmanager, Matcher, Silence
from runbook.systems.alertmanager.settings import AlertmanagerSettings
from runbook.waiting import Pending, wait_until
from tests.systems.loopback_servers import Reply, ScriptedServer

LABELS = {"alertname": "CrmEventsSinkDown", "severity": "warning"}


@pytest.fixture(scope="module")
def real(
    program: Callable[[str], str],
    cannot_start: Callable[[str], NoReturn],
    port: Callable[[], int],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Alertmanager]:
    """A real Alertmanager that holds one alert."""
    path, number = program("alertmanager"), port()
    folder = tmp_path_factory.mktemp("alertmanager")
    (folder / "config.yml").write_text("route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
    command = [path, f"--config.file={folder}/config.yml", f"--storage.path={folder}/data", "--cluster.listen-address="]
    # Debian's program, unpacked and made relocatable, finds its templates relative to the folder of its packages.
    home = Path(path).parents[2]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{number}"], cwd=home, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{number}"
    client = Alertmanager(AlertmanagerSettings(url=url))
    try:
        wait_until(
            lambda: running(client, process, cannot_start),
            what="Alertmanager",
            deadline_s=20,
            where=path,
            fix=f"read {folder}/log",
        )
        body = json.dumps([{"labels": LABELS, "annotations": {"summary": "down"}}]).encode()
        request = urllib.request.Request(f"{url}/api/v2/alerts", body, {"Content-Type": "application/json"})  # noqa: S310 - http
        urllib.request.urlopen(request, timeout=5).close()  # noqa: S310 - http
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(timeout=20)


def running(
    client: Alertmanager, process: subprocess.Popen[bytes], cannot_start: Callable[[str], NoReturn]
) -> bool | Pending:
    if process.poll() is not None:
        cannot_start("this Alertmanager does not start where it is: it wants its templates in /usr/share/prometheus")
    try:
        return client.ready().ready or Pending("not ready")
    except RunbookError as error:
        return Pending(error.seen)


def in_an_hour() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def test_silence_suppresses_its_alert_until_it_is_expired(real: Alertmanager) -> None:
    """The whole life: made, listed with author and end, seen on the alert, expired."""
    (alert,) = real.alerts()
    assert (alert.labels, alert.state, alert.receivers, alert.silenced_by) == (LABELS, "active", ("nobody",), ())
    assert alert.annotations == {"summary": "down"}
    assert alert.starts_at <= datetime.now(UTC)
    matchers = (
        Matcher(name="alertname", value="CrmEvents.*", is_regex=True),
        Matcher(name="team", value="crm", is_equal=False),
    )
    ends_at = in_an_hour()

    silence_id = real.silence(matchers, author="me", comment="ünder repair", ends_at=ends_at)

    (silence,) = real.silences()
    assert (silence.id, silence.author, silence.comment, silence.state) == (silence_id, "me", "ünder repair", "active")
    assert set(silence.matchers) == set(matchers)
    assert abs(silence.ends_at - ends_at) < timedelta(seconds=1)
    assert silence.matches(LABELS)
    wait_until(
        lambda: real.alerts()[0].silenced_by == (silence_id,) or Pending("active"),
        what="the suppressed alert", deadline_s=10, where="Alertmanager", fix="see its log",
    )  # fmt: skip
    assert real.alerts()[0].state == "suppressed"

    real.expire(silence_id)

    assert real.silences() == ()
    assert [one.state for one in real.silences(active_only=False)] == ["expired"]


def test_silence_that_ends_in_the_past_is_refused(real: Alertmanager) -> None:
    with pytest.raises(AnswerError, match="refused the silence") as caught:
        real.silence(
            (Matcher(name="a", value="b"),), author="me", comment="c", ends_at=datetime.now(UTC) - timedelta(1)
        )

    assert caught.value.code == "bad_request"


def test_unknown_silence_cannot_be_expired(real: Alertmanager) -> None:
    with pytest.raises(AnswerError, match="no silence of this id") as caught:
        real.expire("00000000-0000-0000-0000-000000000000")

    assert caught.value.code == "not_found"


@pytest.mark.parametrize(
    ("matcher", "labels", "expected"),
    [
        (Matcher(name="a", value="b"), {"a": "b"}, True),
        (Matcher(name="a", value="b"), {"a": "bb"}, False),
        (Matcher(name="a", value="b.", is_regex=True), {"a": "bb"}, True),
        (Matcher(name="a", value="b", is_regex=True), {"a": "bb"}, False),
        (Matcher(name="a", value="b", is_equal=False), {"a": "b"}, False),
        (Matcher(name="a", value="b|c", is_regex=True, is_equal=False), {"a": "d"}, True),
        (Matcher(name="a", value=""), {}, True),
        (Matcher(name="a", value=".+", is_regex=True), {}, False),
    ],
)
def test_matcher_decides_as_alertmanager_does(matcher: Matcher, labels: dict[str, str], expected: object) -> None:
    """Regular expressions match the whole value, and a missing label is an empty one."""
    assert matcher.matches(labels) is expected


def test_silence_matches_only_if_every_matcher_does() -> None:
    now = datetime.now(UTC)
    matchers = (Matcher(name="a", value="1"), Matcher(name="b", value="2"))
    silence = Silence(id="x", matchers=matchers, starts_at=now, ends_at=now, author="", comment="", state="active")

    assert silence.matches({"a": "1", "b": "2", "c": "3"})
    assert not silence.matches({"a": "1"})


def test_not_ready_and_foreign_pages(server: ScriptedServer) -> None:
    client = Alertmanager(AlertmanagerSettings(url=server.url))
    server.routes["GET /-/ready"] = Reply(503, b"no available server")
    server.routes["GET /api/v2/alerts"] = Reply(200, {"not": "a list"})

    with pytest.raises(AnswerError, match="no available server") as caught:
        client.ready()
    assert caught.value.code == "unavailable"
    with pytest.raises(AnswerError, match="unknown shape"):
        client.alerts()
    with pytest.raises(AnswerError, match="404"):
        client.silences()


def test_refused_names_the_setting(refused_url: str) -> None:
    with pytest.raises(UnreachableError, match="RUNBOOK_ALERTMANAGER_URL"):
        Alertmanager(AlertmanagerSettings(url=refused_url)).alerts()
