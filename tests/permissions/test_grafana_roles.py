"""Users of Grafana with fewer rights than its admin: what they can see is seen, and what not is named as that."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest

from runbook.settings import STACK_DIR
from tests.contracts.contract_parts import free_port, reachable, running
from tests.permissions.recorded_stack import Given, RecordedStack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]

PASSWORD: Final = "of-no-admin"  # noqa: S105 - of a stand-in
UID: Final = "PBFA97CFB590B2093"
"""What every Grafana makes of the name Prometheus."""
ABOUT_THE_DATASOURCE: Final = {
    *(("grafana", code) for code in ("F_DS_MISSING", "WRONG_NETWORK", "F_DS_URL", "F_DRIFT")),
    ("panels", "LOSS_PROMETHEUS_GRAFANA"),
}


class Users:
    """Gives a command as a user of Grafana, named by the role."""

    def __init__(self, recorded: RecordedStack, url: str) -> None:
        self._recorded = recorded
        self._url = url

    def does(self, role: str, command: str, **settings: str) -> Given:
        grafana: Mapping[str, object] = {"url": self._url, "username": role, "password": PASSWORD, **settings}
        return self._recorded.does(*command.split(), grafana=grafana)


@pytest.fixture(scope="module")
def users(recorded: RecordedStack) -> Iterator[Users]:
    """The stack after setup and traffic, and one more Grafana of the same files, with users."""
    assert recorded.does("setup", "--yes").code == 0
    assert recorded.does("traffic", "--leads", "2", "--jobs", "1").code == 0
    folder, port = recorded.directory / STACK_DIR, free_port()
    options = ("--port", str(port), "--provisioning", str(folder / "monitoring/grafana/provisioning"))
    environment = {"STAND_IN_USERS": f"viewer:{PASSWORD}:Viewer,nobody:{PASSWORD}:None,admin2:{PASSWORD}:Admin"}
    with running("grafana", *options, output=folder / "users.log", environment=environment, cwd=folder) as program:
        reachable(program, port)
        yield Users(recorded, f"http://127.0.0.1:{port}")


def unchecked(given: Given) -> set[tuple[str, str]]:
    return {(one["hop"], one["code"]) for one in given.document["checks"] if one["status"] != "ok"}


def broken(given: Given) -> list[dict[str, Any]]:
    return [one for one in given.document["checks"] if one["status"] == "broken"]


def test_admin_of_another_name_sees_everything(users: Users) -> None:
    """The control: what the others lack is their right, not this Grafana."""
    assert users.does("admin2", "verify").code == 0
    given = users.does("admin2", "troubleshoot")
    assert (given.code, unchecked(given)) == (0, set())


def test_viewer_without_the_uid_is_told_which_permission_it_takes(users: Users) -> None:
    """Not down, not healthy: the checks about the datasource have not been made, all others are ok."""
    given = users.does("viewer", "troubleshoot")

    verdict = given.document["verdict"]
    assert (given.code, verdict["outcome"], broken(given)) == (3, "inconclusive", [])
    assert unchecked(given) == ABOUT_THE_DATASOURCE
    assert "403, it takes datasources:read" in str(verdict["evidence"])
    assert "give viewer the permission datasources:read" in verdict["fix"]
    assert "RUNBOOK_GRAFANA_DATASOURCE_UID" in verdict["fix"]


def test_viewer_without_the_uid_leaves_the_panels_unchecked(users: Users) -> None:
    given = users.does("viewer", "verify")

    outcomes = {one["number"]: one["outcome"] for one in given.document["criteria"]}
    (step,) = [one for one in given.document["steps"] if one["step"] == "panels"]
    assert given.code == 3
    assert outcomes == {1: "not_checked", 2: "not_checked", 3: "ok", 4: "ok", 5: "ok"}
    assert (step["outcome"], "403, it takes datasources:read" in str(step)) == ("not_checked", True)


@pytest.mark.parametrize("command", ["verify", "troubleshoot", "setup --yes"])
def test_viewer_with_the_uid_needs_nothing_else(users: Users, command: str) -> None:
    """The smallest right: the role Viewer, and the datasource's uid in the settings."""
    given = users.does("viewer", command, datasource_uid=UID)

    assert given.code == 0, given.document
    assert ("Grafana", "GET /api/datasources") not in given.asked or command == "troubleshoot"


def test_uid_that_no_datasource_has_is_named(users: Users) -> None:
    given = users.does("viewer", "troubleshoot", datasource_uid="nothing")

    assert (given.code, given.document["verdict"]["code"]) == (1, "F_DS_MISSING"), given.document["verdict"]


def test_setup_of_a_viewer_ends_before_it_writes(users: Users) -> None:
    given = users.does("viewer", "setup --yes")

    assert given.code == 1
    assert given.document["error"]["seen"] == "Grafana does not allow this to viewer: 403, it takes datasources:read"


def test_user_without_a_role_is_named_as_that_and_grafana_is_not_down(users: Users) -> None:
    """What is refused is the right to the dashboard: nothing else is broken, and nothing is called down."""
    given = users.does("nobody", "troubleshoot")

    verdict = given.document["verdict"]
    assert (given.code, verdict["code"], given.document["also"]) == (1, "F_FORBIDDEN", [])
    assert [one["code"] for one in broken(given)] == ["F_FORBIDDEN"]
    assert "it takes dashboards:read" in str(verdict["evidence"])
    assert "give nobody the permission dashboards:read" in verdict["fix"]
