"""The gateway: leads and jobs, created as any client of the CRM creates them. A POST is sent once, whatever happens."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

import msgspec

from runbook.errors import FOREIGN
from runbook.invocation import inv
from runbook.systems.gateway.meanings import GATEWAY_MEANINGS
from runbook.systems.gateway.settings import GatewaySettings
from runbook.systems.http import HttpClient
from runbook.systems.http_answer import Answer

NO_SUCH_LEAD: Final = 0
_CREATED: Final = (HTTPStatus.OK, HTTPStatus.CREATED)


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityAnswer:
    """A lead or job as the API created it; `body` is its whole answer."""

    id: int
    tenant_id: str
    status: int
    sent_at: datetime
    answered_at: datetime
    body: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeAnswer:
    """What a request that can create nothing was answered; `date` is the clock of who answered, if told.

    `is_proxy_404` means that the edge proxy knows no route for the Host: the gateway never saw the request. `code`,
    `words` and `fix` are what it means, as of an AnswerError. `is_json`: neither a proxy nor a login page says it.
    """

    status: int
    is_proxy_404: bool
    saw: str
    date: datetime | None
    code: str = ""
    words: str = ""
    fix: str = ""
    is_json: bool = True
    took_s: float = 0.0


class Gateway:
    """The API behind the edge proxy, as the owner of one token.

    Raises UnreachableError, ProtocolError, and AnswerError with one of the codes of GATEWAY_MEANINGS.
    """

    def __init__(self, settings: GatewaySettings, token: str, timeout_s: float = 10) -> None:
        """Keep address, Host and token; nothing is opened."""
        address = settings.place_of("url")
        self._http = HttpClient(
            "The gateway",
            settings.url,
            token=token,
            headers={"Host": settings.host},
            tls=settings.tls,
            address=address,
            meanings=GATEWAY_MEANINGS,
            places={
                "host": settings.host,
                "host_place": settings.place_of("host"),
                "troubleshoot": inv("troubleshoot"),
            },
            timeout_s=timeout_s,
            fix=f"check that the edge proxy and the gateway run, and that {address} is the proxy's address",
        )

    def create_lead(self, *, name: str, email: str, source: str) -> EntityAnswer:
        """Create a lead; code "duplicate" when the tenant has one with this e-mail already."""
        answer = self._http.post("/leads", json={"name": name, "email": email, "source": source})
        if answer.status == HTTPStatus.CONFLICT:
            raise answer.error(
                f"A lead with the e-mail {email} exists already: 409",
                code="duplicate",
                fix=f"{inv('traffic')}: every run has e-mail addresses of its own",
            )
        return self._created(answer)

    def create_job(self, *, lead_id: int, title: str, status: str, description: str) -> EntityAnswer:
        """Create a job for a lead; code "not_found" when this tenant has no such lead."""
        return self._created(self._http.post("/jobs", json=_job(lead_id, title, status, description)))

    def probe(self) -> ProbeAnswer:
        """Ask for a job of a lead that cannot exist: an answer of ApexFlow proves the whole route, and nothing is made.

        Every status is an answer here. 404 from the API (not from the proxy) or a validation error is the good one.
        """
        answer = self._http.post("/jobs", json=_job(NO_SUCH_LEAD, "Route probe", "Open", "Creates nothing"))
        row = answer.meaning()
        challenge = answer.headers.get("WWW-Authenticate", "") if answer.status == HTTPStatus.UNAUTHORIZED else ""
        asked = f", WWW-Authenticate: {answer.quoted(challenge)}" if challenge else ""
        return ProbeAnswer(
            status=answer.status,
            is_proxy_404=row is not None and row.code == "no_route",
            saw=f"{answer.status}{answer.moved} {answer.excerpt}{asked}",
            date=_date(answer.headers),
            code=row.code if row else "",
            words=row.words if row else "",
            fix=row.fix if row else "",
            is_json=answer.is_json,
            took_s=answer.took_s,
        )

    def close(self) -> None:
        """Close the connections that are kept alive."""
        self._http.close()

    def _created(self, answer: Answer) -> EntityAnswer:
        if answer.status not in _CREATED:
            row = answer.meaning()
            seen, code, fix = (row.words, row.code, row.fix) if row else ("The API failed", "server_error", "")
            raise answer.error(f"{seen}: {answer.status}{answer.moved} {answer.excerpt}", code=code, fix=fix)
        entity = answer.read(_Entity)
        return EntityAnswer(
            id=entity.id,
            tenant_id=entity.tenant_id,
            status=answer.status,
            sent_at=answer.sent_at,
            answered_at=answer.answered_at,
            body=answer.read(dict[str, Any]),
        )


class _Entity(msgspec.Struct, frozen=True):
    id: int
    tenant_id: str


def _job(lead_id: int, title: str, status: str, description: str) -> dict[str, object]:
    return {"lead_id": lead_id, "title": title, "status": status, "description": description}


def _date(headers: Mapping[str, str]) -> datetime | None:
    try:
        return parsedate_to_datetime(headers["Date"])
    except (KeyError, *FOREIGN):
        return None
