"""Alertmanager: alerts and silences. Shapes: its API v2, met with 0.25."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus

import msgspec

from runbook.errors import FOREIGN, RunbookError
from runbook.systems.alertmanager.settings import AlertmanagerSettings
from runbook.systems.http import login_client
from runbook.systems.http_answer import Answer, Readiness, readiness, shortened

_QUOTED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Matcher:
    """One condition of a silence. A regular expression must match the whole value; a missing label is empty."""

    name: str
    value: str
    is_regex: bool = False
    is_equal: bool = True

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether the labels fulfil it. Go's RE2 and Python's syntax agree on what silences are made of."""
        have = labels.get(self.name, "")
        try:
            same = re.fullmatch(self.value, have) is not None if self.is_regex else have == self.value
        except (re.error, *FOREIGN) as error:
            matcher = shortened(f"{self.name}=~{self.value}", _QUOTED)
            raise RunbookError(
                f"Whether a silence on {matcher} holds cannot be told here: {error}",
                where="the matcher of a silence in Alertmanager",
                fix="look at the silences on the page of Alertmanager",
            ) from None
        return same == self.is_equal


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """One silence; `state` is "active", "pending" (begins later) or "expired"."""

    id: str
    matchers: tuple[Matcher, ...]
    starts_at: datetime
    ends_at: datetime
    author: str
    comment: str
    state: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether it would silence an alert with these labels, now or when it is active."""
        return all(matcher.matches(labels) for matcher in self.matchers)


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One alert as Alertmanager holds it; `state` is "active", "suppressed" or "unprocessed".

    `receivers` are the routes' ends that get it; `silenced_by` and `inhibited_by` say what suppresses it.
    """

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: str
    starts_at: datetime
    receivers: tuple[str, ...]
    silenced_by: tuple[str, ...]
    inhibited_by: tuple[str, ...]


class Alertmanager:
    """One Alertmanager. Every method raises UnreachableError, and AnswerError when the answer is not as documented."""

    def __init__(self, settings: AlertmanagerSettings, timeout_s: float = 10) -> None:
        """Keep the address; nothing is opened."""
        self._http = login_client("Alertmanager", settings, timeout_s)

    def ready(self) -> Readiness:
        """Whether it serves (/-/ready)."""
        return readiness(self._http.get("/-/ready"))

    def alerts(self) -> tuple[Alert, ...]:
        """Return all alerts, suppressed ones included; one whose rule is gone may still be listed."""
        answer = self._http.get("/api/v2/alerts").expected(HTTPStatus.OK)
        alerts = answer.read(list[_Alert])
        with answer.reading():
            return tuple(_alert(alert) for alert in alerts)

    def silences(self, active_only: bool = True) -> tuple[Silence, ...]:
        """Return the silences in force, or also the coming and the expired ones."""
        answer = self._http.get("/api/v2/silences").expected(HTTPStatus.OK)
        silences = answer.read(list[_Silence])
        with answer.reading():
            found = tuple(_silence(silence) for silence in silences)
        return tuple(silence for silence in found if silence.state == "active" or not active_only)

    def silence(self, matchers: Iterable[Matcher], *, author: str, comment: str, ends_at: datetime) -> str:
        """Create a silence that begins now, and return its id."""
        wanted = _NewSilence(
            matchers=[_Matcher(one.name, one.value, one.is_regex, one.is_equal) for one in matchers],
            starts_at=datetime.now(UTC),
            ends_at=ends_at,
            created_by=author,
            comment=comment,
        )
        answer = self._http.post("/api/v2/silences", json=msgspec.to_builtins(wanted))
        return _accepted(answer).read(_SilenceId).silence_id

    def expire(self, silence_id: str) -> None:
        """End a silence now; AnswerError with code "not_found" when there is none of that id."""
        _accepted(self._http.delete(f"/api/v2/silence/{silence_id}"))

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._http.close()


# What travels: the parts of the API's JSON that are read or sent.


class _Wire(msgspec.Struct, rename="camel"):
    """Members as JSON names them; unknown ones are skipped."""


class _Matcher(_Wire):
    name: str
    value: str
    is_regex: bool
    is_equal: bool = True


class _NewSilence(_Wire, kw_only=True):
    matchers: list[_Matcher]
    starts_at: datetime
    ends_at: datetime
    created_by: str
    comment: str


class _State(_Wire):
    state: str


class _Silence(_NewSilence, kw_only=True):
    id: str
    status: _State


class _SilenceId(_Wire):
    silence_id: str = msgspec.field(name="silenceID")


class _Receiver(_Wire):
    name: str


class _AlertState(_Wire):
    state: str
    silenced_by: list[str]
    inhibited_by: list[str]


class _Alert(_Wire):
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: datetime
    receivers: list[_Receiver]
    status: _AlertState


def _accepted(answer: Answer) -> Answer:
    # 0.25 answers an unknown id with 500 and this text, later versions with 404.
    if answer.status == HTTPStatus.NOT_FOUND or "silence not found" in answer.text:
        raise answer.error(
            "Alertmanager has no silence of this id",
            code="not_found",
            fix="look for its id on the page of Alertmanager",
        )
    if answer.status == HTTPStatus.BAD_REQUEST:
        raise answer.error(
            f"Alertmanager refused the silence: {answer.excerpt}",
            code="bad_request",
            fix="correct its matchers or its end",
        )
    return answer.expected(HTTPStatus.OK)


def _silence(silence: _Silence) -> Silence:
    return Silence(
        id=silence.id,
        matchers=tuple(
            Matcher(name=one.name, value=one.value, is_regex=one.is_regex, is_equal=one.is_equal)
            for one in silence.matchers
        ),
        starts_at=silence.starts_at.astimezone(UTC),
        ends_at=silence.ends_at.astimezone(UTC),
        author=silence.created_by,
        comment=silence.comment,
        state=silence.status.state,
    )


def _alert(alert: _Alert) -> Alert:
    return Alert(
        labels=alert.labels,
        annotations=alert.annotations,
        state=alert.status.state,
        starts_at=alert.starts_at.astimezone(UTC),
        receivers=tuple(receiver.name for receiver in alert.receivers),
        silenced_by=tuple(alert.status.silenced_by),
        inhibited_by=tuple(alert.status.inhibited_by),
    )
