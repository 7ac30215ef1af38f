"""Whether a running service can be reached at all: from this host by a published port, from its peer by a network.

A service that answers is reached, whatever the runtime says or cannot say. One that does not is looked at here before
it is called down, because a start would change nothing: see the codes PORT_UNPUBLISHED and WRONG_NETWORK.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import SplitResult, urlsplit

from runbook.diagnosis.check import Broken, Check, Finding, NotChecked, Ok, broken
from runbook.diagnosis.facts import Facts, saw
from runbook.diagnosis.service_state import state_seen
from runbook.errors import AnswerError, ProtocolError, RunbookError, UnreachableError
from runbook.invocation import inv
from runbook.model import Evidence
from runbook.systems.addresses import is_loopback
from runbook.systems.runtime import PublishedPort, Service

UPSTREAM: Final = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""What a proxy answers for a server that does not."""

_HERE: Final = "localhost"
_HOST_NETWORK: Final = "host"
_NO_NETWORK: Final = "none"
_BUILT_IN: Final = frozenset({"bridge", _HOST_NETWORK, _NO_NETWORK})  # the engine resolves no names in these
_EVERY_ADDRESS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - compared with, never bound
_PORTS: Final = {"http": 80, "https": 443, "tcp": 9092}
_OF_PROXIES: Final = frozenset({80, 443})
# What Go's resolver and dialler say when a name or an address leads nowhere. A refusal or a status is an arrival.
_LED_NOWHERE: Final = re.compile(
    r"no such host|server misbehaving|name resolution|no route to host|network is unreachable|timeout|deadline exceeded"
)

ServiceOf = Callable[[Facts], Service]


def heard(facts: Facts, url: str, ask: Callable[[Facts], object]) -> Evidence:
    """Return that a service answered anything. Raises UnreachableError, and ProtocolError of a proxy before it."""
    try:
        ask(facts)
    except (AnswerError, ProtocolError) as error:
        if isinstance(error, ProtocolError) and error.is_of_a_proxy:
            raise
        return saw(error.where, error.seen)
    return saw(url, "answers")


def served(facts: Facts, url: str, ask: Callable[[Facts], object]) -> Evidence:
    """Return as `heard`. Raises RunbookError for 502, 503 and 504 too: a proxy answers them for a stopped service."""
    try:
        status = getattr(ask(facts), "status", None)
    except AnswerError as error:
        status = error.status
    except ProtocolError:
        status = None
    seen = heard(facts, url, ask)
    if status in UPSTREAM:
        raise RunbookError(seen.saw, where=seen.source, fix=inv("troubleshoot"))
    return seen


def is_here(facts: Facts, url: str) -> bool:
    """Say whether an address leads to the host of the containers."""
    host = urlsplit(url).hostname or ""
    return (_HERE if is_loopback(host) else host) == facts.host()


def port_check(
    hop: str, who: str, service: ServiceOf, url: Callable[[Facts], str], ask: Callable[[Facts], object], *unless: str
) -> Check[Facts]:
    """Return the check that a running service has a port at `url`; `ask` raises UnreachableError if it is not reached.

    `unless` are further checks that explain why it is not.
    """

    def run(facts: Facts) -> Finding:
        address = urlsplit(url(facts))
        try:
            return Ok((heard(facts, address.geturl(), ask),))
        except UnreachableError as error:
            return _published(facts, service(facts), address, saw(error.where, error.seen))

    return Check(
        code="PORT_UNPUBLISHED",
        hop=hop,
        claim=f"{who} has a port on this host",
        diagnosis="{name} runs, and has no port {port} on {host}",
        sign="this host gets no answer, the container runs, and the engine maps no port to that address",
        fix="{fix}",
        of_runtime=True,
        needs=(f"{hop}.CTR_EXITED",),
        unless=unless,
        run=run,
    )


def network_check(hop: str, claim: str, run: Callable[[Facts], Finding], *needs: str) -> Check[Facts]:
    """Return the check that two services share a network; `run` ends with one of the two findings below."""
    return Check(
        code="WRONG_NETWORK",
        hop=hop,
        claim=claim,
        diagnosis="{name} shares no network with {peer}",
        sign="a caller cannot resolve or reach its name, and their sets of networks are disjoint",
        fix="{fix}",
        needs=needs,
        of_runtime=True,
        run=run,
    )


def network_finding(
    facts: Facts, caller: Service, peer: Service, *, url: str, error: str, complaint: Evidence
) -> Broken | Ok:
    """Judge whether `caller` fails to reach `peer` at `url` because they share no network.

    Only the names of a container need a shared network; any other address leads over a host, or is mistyped.
    """
    names = {peer.name, peer.container, facts.state(peer).name}
    if not _LED_NOWHERE.search(error) or urlsplit(url).hostname not in names:
        return Ok((complaint,))
    own, theirs = facts.networks(caller), facts.networks(peer)
    if not are_apart(own, theirs):
        return Ok((complaint, _networks_seen(facts, caller, own), _networks_seen(facts, peer, theirs)))
    return _apart(facts, caller, peer, own, complaint)


def lost_finding(facts: Facts, service: Service, peer: Service, refused: Evidence) -> Broken | Ok:
    """Judge whether a running service is silent here because it is on no network: that takes its ports, too."""
    own = facts.networks(service)
    if own - {_NO_NETWORK}:
        return Ok((refused, _networks_seen(facts, service, own)))
    try:
        of_peer = facts.networks(peer)
    except AnswerError:  # the runtime knows no such service
        of_peer = frozenset()
    return _apart(facts, peer, service, of_peer, refused, state_seen(service, facts.state(service)))


def _apart(facts: Facts, caller: Service, service: Service, of_caller: frozenset[str], *evidence: Evidence) -> Broken:
    of_service = facts.networks(service)
    name, peer = facts.state(service).name, facts.state(caller).name
    seen = *evidence, _networks_seen(facts, caller, of_caller), _networks_seen(facts, service, of_service)
    return broken(*seen, name=name, peer=peer, fix=joining(of_caller, of_service, name, peer))


def are_apart(own: frozenset[str], theirs: frozenset[str]) -> bool:
    """Say whether two services share no network. The host's own is reached from every other."""
    return _HOST_NETWORK not in own | theirs and not (own & theirs) - {_NO_NETWORK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Apart:
    """Two services that share no network: both sets, and the command that joins them."""

    evidence: tuple[Evidence, ...]
    fix: str


def networks_apart(facts: Facts, caller: Service, service: Service) -> Apart | None:
    """Return how two services that run are apart; None if they share a network, or if that cannot be said."""
    try:
        own, theirs = facts.networks(caller), facts.networks(service)
        names = facts.state(service).name, facts.state(caller).name
    except RunbookError:
        return None
    if not are_apart(own, theirs):
        return None
    seen = _networks_seen(facts, caller, own), _networks_seen(facts, service, theirs)
    return Apart(evidence=seen, fix=joining(own, theirs, *names))


def joining(of_caller: frozenset[str], of_service: frozenset[str], name: str, caller: str) -> str:
    """Return the command that brings a service to its caller, or the caller to it; NET where neither has a network."""
    if of_caller - _BUILT_IN or not of_service - _BUILT_IN:
        return f"docker network connect {min(of_caller - _BUILT_IN, default='NET')} {name}"
    return f"docker network connect {min(of_service - _BUILT_IN)} {caller}"


def _published(facts: Facts, service: Service, address: SplitResult, refused: Evidence) -> Finding:
    state = facts.state(service)
    if not state.is_running:
        seen_state = state_seen(service, state)
        return NotChecked(f"{seen_state.saw}: it has no ports then", where=seen_state.source)
    own = facts.networks(service)
    if _HOST_NETWORK in own:
        return Ok((refused, saw(f"networks of {state.name}", "the host's own: no port has to be published")))
    ports = facts.published(service)
    host = facts.host()
    port = address.port or _PORTS.get(address.scheme, 0)
    asked = _HERE if is_loopback(address.hostname or "") else address.hostname
    places = _places(ports, host)
    seen = refused, state_seen(service, state), saw(f"ports of {state.name}", _listed(ports))
    if f"{asked}:{port}" in places:
        return Ok(seen)
    if asked not in {_HERE, host} or port in _OF_PROXIES:
        return NotChecked(f"a proxy may serve {asked}:{port}: its ports prove nothing", where=address.geturl())
    recreate = facts.recreate_command(service)
    adding = f"add `ports:` to the service {service.name}, then {recreate}"
    fix = _publishing(ports, places, host, port, adding) if own - {_NO_NETWORK} else recreate
    return broken(*seen, name=state.name, port=str(port), host=asked, fix=fix)


def is_published(facts: Facts, service: Service, url: str) -> bool:
    """Say whether a service that runs has a port at an address; one on its host's own network may have any."""
    address = urlsplit(url)
    port = address.port or _PORTS.get(address.scheme, 0)
    return _HOST_NETWORK in facts.networks(service) or any(one.host_port == port for one in facts.published(service))


def _places(ports: Sequence[PublishedPort], host: str) -> tuple[str, ...]:
    """Return where this host reaches them. A loopback address of another host is reached from there alone."""
    names = [(_name(one.address, host), one.host_port) for one in ports if one.protocol == "tcp"]
    return tuple(dict.fromkeys(f"{name}:{port}" for name, port in names if name))


def _name(address: str, host: str) -> str:
    if is_loopback(address):
        return _HERE if host == _HERE else ""
    return host if address in _EVERY_ADDRESS or host != _HERE else address


def _publishing(ports: Sequence[PublishedPort], places: Sequence[str], host: str, port: int, otherwise: str) -> str:
    if places:
        return f"it is published at {', '.join(places)}: correct its address in the settings, or its `ports:`"
    for one in ports:
        if is_loopback(one.address):
            return f"only {host} itself reaches it: ssh -NL {port}:127.0.0.1:{one.host_port} {host}"
    return otherwise


def _listed(ports: Sequence[PublishedPort]) -> str:
    return ", ".join(f"{one.port}/{one.protocol} at {one.address}:{one.host_port}" for one in ports) or "none published"


def _networks_seen(facts: Facts, service: Service, own: frozenset[str]) -> Evidence:
    return saw(f"networks of {facts.state(service).name}", ", ".join(sorted(own - {_NO_NETWORK})) or "none")
