"""What ApexFlow's API answers of a lead or a job that is not so; broken/apexflow.py has the events."""

import threading
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from runbook.local_stack.fakes.apexflow.store import Store

_INVENTED: Final = 900_000

Create = Callable[[Store, str, Any], dict[str, Any]]
"""`Store.create_lead`: the tenant and the lead, to the answer."""


def _changed(change: Callable[[int, Create, Store, str, Any], dict[str, Any]]) -> None:
    """Answer by `change`, which gets the number of the lead since the start, from 1."""
    create, numbers = Store.create_lead, count(1)

    def create_lead(self: Store, tenant: str, lead: Any) -> dict[str, Any]:  # noqa: ANN401  # as it is
        return change(next(numbers), create, self, tenant, lead)

    Store.create_lead = create_lead  # type: ignore[method-assign]  # the broken variant


def _store_nothing(every: str) -> None:
    """Answer each n-th lead with an invented id."""

    def change(number: int, create: Create, store: Store, tenant: str, lead: Any) -> dict[str, Any]:  # noqa: ANN401
        if number % int(every):
            return create(store, tenant, lead)
        return {"id": _INVENTED + number, "tenant_id": tenant, **lead, "created_at": "2026-01-01T00:00:00"}

    _changed(change)


def _previous_again(every: str) -> None:
    """Answer each n-th lead with the one before, and store nothing of it."""
    last: dict[str, Any] = {}

    def change(number: int, create: Create, store: Store, tenant: str, lead: Any) -> dict[str, Any]:  # noqa: ANN401
        if number % int(every):
            last.update(create(store, tenant, lead))
        return dict(last)

    _changed(change)


def _other_ids(by: str) -> None:
    """Answer with another id than the lead is stored under."""

    def change(_: int, create: Create, store: Store, tenant: str, lead: Any) -> dict[str, Any]:  # noqa: ANN401
        entity = create(store, tenant, lead)
        return {**entity, "id": entity["id"] + int(by)}

    _changed(change)


def _first_again(every: str) -> None:
    """Answer each n-th lead with the first one, and store nothing of it."""
    first: dict[str, Any] = {}

    def change(number: int, create: Create, store: Store, tenant: str, lead: Any) -> dict[str, Any]:  # noqa: ANN401
        if number % int(every):
            entity = create(store, tenant, lead)
            first.update(first or entity)
            return entity
        return dict(first)

    _changed(change)


def _rolled_back(every: str) -> None:
    """Roll each n-th lead back after its answer: the next lead gets its id."""

    def change(number: int, create: Create, store: Store, tenant: str, lead: Any) -> dict[str, Any]:  # noqa: ANN401
        if number % int(every):
            return create(store, tenant, lead)
        newest = store.leads(tenant, 1)[0]["id"]
        return {"id": newest + 1, "tenant_id": tenant, **lead, "created_at": "2026-01-01T00:00:00"}

    _changed(change)


def _jobs_by_their_leads() -> None:
    """Answer each job with the id of its lead."""
    create = Store.create_job

    def create_job(self: Store, tenant: str, job: Any) -> dict[str, Any]:  # noqa: ANN401  # as it is
        return {**create(self, tenant, job), "id": job["lead_id"]}

    Store.create_job = create_job  # type: ignore[method-assign]  # the broken variant


def _slow(seconds: str) -> None:
    def slowed(method: Callable[..., Any]) -> Callable[..., Any]:
        def slow(*arguments: Any) -> Any:  # noqa: ANN401  # any method
            threading.Event().wait(float(seconds))
            return method(*arguments)

        return slow

    Store.create_lead = slowed(Store.create_lead)  # type: ignore[method-assign]
    Store.create_job = slowed(Store.create_job)  # type: ignore[method-assign]


SERVICES: Final[dict[str, Callable[..., None]]] = {
    "nothing-stored": _store_nothing,
    "answers-previous": _previous_again,
    "slow": _slow,
    "answers-other-ids": _other_ids,
    "answers-first": _first_again,
    "rolls-back": _rolled_back,
    "answers-jobs-by-leads": _jobs_by_their_leads,
}
