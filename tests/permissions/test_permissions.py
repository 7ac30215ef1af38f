"""docs/PERMISSIONS.md lists what every command asks of every system: no request less, none more."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

import pytest
import requests

from runbook.settings import STACK_DIR
from tests.permissions.documented import OF_APACHE_KAFKA, Row, rows
from tests.permissions.recorded_stack import RecordedStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

RUN_IS: Final = ("setup", "traffic", "verify")
ASK_NOTHING: Final = {"report", "history", "open"}
CHANGE_NOTHING: Final = {"verify", "metrics", "logs"} | ASK_NOTHING

Asked = Mapping[str, frozenset[tuple[str, str]]]
"""Command -> (system, request)."""


@dataclass(frozen=True, slots=True)
class Giving:
    """A command, settings of other values, and the exit code that is expected."""

    words: tuple[str, ...]
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    code: int = 0


def differences(document: Sequence[Row], asked: Asked) -> list[str]:
    """Return what the document does not list, and what it lists and nobody asked."""
    unlisted = [
        f"{command} sends {system} {request}, which is not listed"
        for command, all_of_it in asked.items()
        for system, request in all_of_it
        if not any(command in row.commands and row.means(system, request) for row in document)
    ]
    unseen = [
        f"{command} is listed with {row.system} {row.request}, and does not send it"
        for row in document
        for command in row.commands
        if not any(row.means(*one) for one in asked.get(command, frozenset()))
    ]
    return sorted(unlisted) + sorted(unseen)


@pytest.fixture(scope="module")
def asked(recorded: RecordedStack) -> Asked:
    """Give every command once, those with conditional requests also where the condition holds."""
    seen: dict[str, frozenset[tuple[str, str]]] = {}
    for one in givings(recorded):
        given = recorded.does(*one.words, **one.settings)
        assert given.code == one.code, (one.words, given.document)
        seen[one.words[0]] = seen.get(one.words[0], frozenset()) | given.asked
    return seen


def givings(recorded: RecordedStack) -> Iterator[Giving]:
    """Yield every command, and bring about between them what its conditional requests need."""
    yield Giving(("setup", "--dry-run"), code=2)
    yield Giving(("setup", "--yes"))
    yield Giving(("setup", "--yes"))
    yield Giving(("traffic", "--leads", "2", "--jobs", "1"))
    yield Giving(("verify",))
    yield Giving(("troubleshoot",))
    for command in ("metrics", "logs", "silence --reason test", "unsilence", "report", "history", "open"):
        yield Giving(tuple(command.split()))
    traffic = ("traffic", "--leads", "1", "--jobs", "0", "--timeout", "1", "--yes")
    yield Giving(traffic, {"prometheus": {"job": "not-scraped"}}, code=3)
    with reload_fails(recorded):
        yield Giving(("troubleshoot", "--hop", "rules"), code=3)
    with recorded.inside.not_running(recorded.inside.target.prometheus.as_service):
        yield Giving(("troubleshoot", "--hop", "rules"))
    yield Giving(("rollback", "--yes"))


@contextmanager
def reload_fails(recorded: RecordedStack) -> Iterator[None]:
    """Have a Prometheus whose last reload failed, though its rules file is right: its log is asked why."""
    path = recorded.directory / STACK_DIR / "monitoring/prometheus.yml"
    right, reload = path.read_bytes(), f"{recorded.inside.target.prometheus.url}/-/reload"
    path.write_bytes(right + b"\nno_such_key: true\n")
    assert requests.post(reload, timeout=10).status_code == 500
    try:
        yield
    finally:
        path.write_bytes(right)
        assert requests.post(reload, timeout=10).status_code == 200


@pytest.fixture(scope="module")
def document() -> tuple[Row, ...]:
    return rows()


def test_document_lists_what_is_sent_and_nothing_else(document: tuple[Row, ...], asked: Asked) -> None:
    of_this_broker = [row for row in document if (row.system, row.request) not in OF_APACHE_KAFKA]

    assert differences(of_this_broker, asked) == []


def test_run_sends_what_its_parts_send(recorded: RecordedStack, asked: Asked, document: tuple[Row, ...]) -> None:
    """After the others, so that they have been given one by one."""
    parts = frozenset[tuple[str, str]]().union(*(asked[part] for part in RUN_IS))
    known = [row for row in document if set(RUN_IS) & set(row.commands)]

    given = recorded.does("run", "--yes", "--leads", "1", "--jobs", "1")

    assert given.code == 0, given.document
    assert parts
    assert [one for one in given.asked if not any(row.means(*one) for row in known)] == []


def test_who_only_looks_changes_nothing(document: tuple[Row, ...]) -> None:
    changing = {command for row in document if not row.changes.startswith("nothing") for command in row.commands}
    by_troubleshoot = {
        row.request for row in document if "troubleshoot" in row.commands and not row.changes.startswith("nothing")
    }

    assert changing & CHANGE_NOTHING == set()
    assert by_troubleshoot == {"POST /jobs", "POST /realms/{realm}/protocol/openid-connect/token"}


def test_what_may_change_something_is_no_get(document: tuple[Row, ...]) -> None:
    assert [row for row in document if row.request.startswith("GET ") and not row.changes.startswith("nothing")] == []


LISTED: Final = (Row("Grafana", "GET /api/dashboards/uid/{uid}", ("verify", "setup"), "nothing"),)
LOOKED: Final = ("Grafana", "GET /api/dashboards/uid/crm")


@pytest.mark.parametrize(
    ("asked_of", "difference"),
    [
        ({"verify": frozenset({LOOKED}), "setup": frozenset({LOOKED})}, []),
        (
            {"verify": frozenset({LOOKED, ("Grafana", "POST /api/dashboards/db")}), "setup": frozenset({LOOKED})},
            ["verify sends Grafana POST /api/dashboards/db, which is not listed"],
        ),
        (
            {"verify": frozenset({LOOKED})},
            ["setup is listed with Grafana GET /api/dashboards/uid/{uid}, and does not send it"],
        ),
        (
            {"verify": frozenset({LOOKED}), "setup": frozenset({LOOKED}), "logs": frozenset({LOOKED})},
            ["logs sends Grafana GET /api/dashboards/uid/crm, which is not listed"],
        ),
    ],
)
def test_request_too_many_or_too_few_is_seen(asked_of: Asked, difference: list[str]) -> None:
    """The negative control."""
    assert differences(LISTED, asked_of) == difference
