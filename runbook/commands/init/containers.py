"""Which containers play the parts of the installation, and at which addresses their ports are published."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from runbook.commands.init.survey import Survey
from runbook.errors import RunbookError
from runbook.files.file_discovery import DASHBOARD, RULES
from runbook.systems.addresses import is_loopback
from runbook.systems.docker.listing import Container
from runbook.systems.runtime import PublishedPort, Runtime, Service

_HERE: Final = "localhost"
_ADMIN_PORTS: Final = frozenset({8081, 8082, 8083, 9644, 9093})
"""Ports inside that speak HTTP or between brokers, not Kafka: Redpanda's and Kafka's own documentation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of the installation: its group of settings, the keys of its names there, and what tells it.

    `images` are last parts of repositories, `mounted` names of files that only this part has mounted.
    """

    group: str
    title: str
    container: str = "container"
    service: str = "service"
    images: frozenset[str] = frozenset()
    mounted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """An address that a published port gives: `setting` of `group`, as `form` with the host and the port."""

    group: str
    setting: str
    port: int
    form: str = "http://{host}:{port}"


PARTS: Final = (
    Part(group="keycloak", title="Keycloak", images=frozenset({"keycloak"})),
    Part(group="gateway", title="The gateway"),
    Part(group="apexflow", title="ApexFlow"),
    Part(
        group="apexflow",
        title="ApexFlow's database",
        container="database_container",
        service="database_service",
    ),
    Part(group="kafka", title="Kafka", images=frozenset({"kafka", "cp-kafka", "kafka-native", "redpanda"})),
    Part(group="sink", title="The sink", images=frozenset({"crm-events-sink"})),
    Part(
        group="prometheus", title="Prometheus", images=frozenset({"prometheus"}), mounted=frozenset({RULES})
    ),
    Part(group="alertmanager", title="Alertmanager", images=frozenset({"alertmanager"})),
    Part(
        group="grafana",
        title="Grafana",
        images=frozenset({"grafana", "grafana-oss", "grafana-enterprise"}),
        mounted=frozenset({DASHBOARD}),
    ),
)  # fmt: skip
_ADDRESSES: Final = (
    Address(group="keycloak", setting="url", port=8080),
    Address(group="sink", setting="metrics_url", port=9105, form="http://{host}:{port}/metrics"),
    Address(group="sink", setting="http_url", port=9106),
    Address(group="prometheus", setting="url", port=9090),
    Address(group="alertmanager", setting="url", port=9093),
    Address(group="grafana", setting="url", port=3000),
)
_PROXY: Final = "traefik"
_PROXY_CONTAINER: Final = "aether-traefik"
_PROXY_PORT: Final = 80


def find_containers(survey: Survey, runtime: Runtime, listed: Sequence[Container]) -> None:
    """Find the container of each part, by its exact name, its compose label, its image, then by what is mounted."""
    for part in PARTS:
        settings = survey.target.groups[part.group]
        name, service = getattr(settings, part.container), getattr(settings, part.service)
        candidates = _candidates(part, name, service, listed, runtime)
        if len(candidates) == 1:
            (one,) = candidates
            survey.remarks_on(part.group, f"{part.title}: container {one.described}{_started_from(one)}")
            if one.name != name and one.service != service:
                survey.finds(part.group, part.container, one.name, f"the only container of the image {one.image}")
            elif one.name != name and sum(other.service == service for other in listed) > 1:
                survey.finds(
                    part.group, part.container, one.name, "it has the file mounted; others run that service, too"
                )
        elif candidates:
            survey.cannot_tell(
                f"{part.title} may be one of {len(candidates)} containers: "
                f"{', '.join(one.described for one in candidates)}",
                where="the engine's list of containers",
                fix=f"set {settings.place_of(part.container)} to the name of the one that is meant, then init again",
            )
        else:
            survey.cannot_tell(
                f"{part.title} runs in no container: none is called {name}, and none runs a compose service {service}",
                where=f"the engine's list of {len(listed)} containers",
                fix=f"docker ps -a; then set {settings.place_of(part.container)} to its name, or start it",
            )


def find_addresses(survey: Survey, runtime: Runtime, listed: Sequence[Container]) -> None:
    """Find where each part is reached: at the port that its container publishes, if that is not the one that is set."""
    for address in _ADDRESSES:
        service = survey.target.groups[address.group].as_service  # type: ignore[attr-defined]  # each has a container
        ports = _published(survey, runtime, service)
        if ports is not None:
            _find_address(survey, address, service, [one for one in ports if one.port == address.port], runtime.host())
    _find_bootstrap(survey, runtime)
    _find_edge_proxy(survey, runtime, listed)


def compose_folders(listed: Sequence[Container]) -> tuple[Path, ...]:
    """Return the folders that compose projects were started from, and those of their files."""
    folders = [
        path for one in listed for path in (one.compose_folder, *(str(Path(file).parent) for file in one.compose_files))
    ]
    return tuple(dict.fromkeys(Path(folder) for folder in folders if folder))


def _candidates(part: Part, name: str, service: str, listed: Sequence[Container], runtime: Runtime) -> list[Container]:
    exact = [one for one in listed if one.name == name]
    labelled = [one for one in listed if one.service == service]
    alike = [one for one in listed if one.image in part.images]
    candidates = exact or labelled or alike
    if len(candidates) <= 1 or not part.mounted:
        return candidates
    having = [one for one in candidates if _has_mounted(runtime, one, part.mounted)]
    return having if len(having) == 1 else candidates


def _has_mounted(runtime: Runtime, container: Container, names: frozenset[str]) -> bool:
    """Whether a file of that name is mounted, or stands in a folder that is mounted and can be looked at from here."""
    try:
        mounts = runtime.mounts(Service(name=container.service or container.name, container=container.name))
    except RunbookError:
        return False
    sources = [Path(mount.source) for mount in mounts]
    return any(path.name in names or any(os.access(path / name, os.F_OK) for name in names) for path in sources)


def _started_from(container: Container) -> str:
    return f", from {', '.join(container.compose_files)}" if container.compose_files else ""


def _published(survey: Survey, runtime: Runtime, service: Service) -> tuple[PublishedPort, ...] | None:
    """Return the ports of a service; None where its container is not found, which is said already, or not asked."""
    try:
        state = runtime.state(service)
        if not state.found:
            return None
        if not state.is_running:
            survey.cannot_tell(
                f"{state.name} is {state.status}: it has no ports now",
                where=f"container {state.name}",
                fix=f"{runtime.start_command(service)}, then init again",
            )
            return None
        return tuple(one for one in runtime.published(service) if one.protocol == "tcp")
    except RunbookError as error:
        if getattr(error, "code", "") != "several_containers":  # said already, with images
            survey.met(error)
        return None


def _find_address(
    survey: Survey, address: Address, service: Service, ports: Sequence[PublishedPort], host: str
) -> None:
    settings = survey.target.groups[address.group]
    now = urlsplit(getattr(settings, address.setting))
    places = {(_name(one, host), one.host_port) for one in ports}
    if not places:
        if survey.is_open(address.group, address.setting):
            survey.cannot_tell(
                f"{service.container} publishes no port {address.port}",
                where=f"container {service.container}",
                fix=f"set {settings.place_of(address.setting)} to the address that reaches it from here, "
                "or publish the port (ports: of its service)",
            )
        return
    here = _HERE if is_loopback(now.hostname or "") else now.hostname
    if (here, now.port or 80) not in places:
        name, port = min(places)
        value = address.form.format(host=name, port=port)
        survey.finds(address.group, address.setting, value, f"port {address.port} of {service.container} is there")


def _find_bootstrap(survey: Survey, runtime: Runtime) -> None:
    """Kafka's outside listener is a port of the operator's choice: the one published port that may speak Kafka."""
    kafka = survey.target.kafka
    ports = _published(survey, runtime, kafka.as_service)
    if ports is None or not survey.is_open("kafka", "bootstrap"):
        return
    places = sorted({(_name(one, runtime.host()), one.host_port) for one in ports if one.port not in _ADMIN_PORTS})
    addresses = [f"{name}:{port}" for name, port in places]
    if kafka.bootstrap in addresses:
        return
    if len(addresses) == 1:
        survey.finds("kafka", "bootstrap", addresses[0], f"the published port of {kafka.container}")
        return
    survey.cannot_tell(
        f"Which port of {kafka.container} is its outside listener is not known: "
        f"it publishes {', '.join(addresses) or 'none'}",
        where=f"container {kafka.container}",
        fix=f"set {kafka.place_of('bootstrap')} to the advertised outside listener (advertised.listeners, or "
        "--advertise-kafka-addr)",
    )


def _find_edge_proxy(survey: Survey, runtime: Runtime, listed: Sequence[Container]) -> None:
    """The gateway has no port of its own: it is reached through an edge proxy."""
    named = [one for one in listed if one.name == _PROXY_CONTAINER]
    proxies = named or [one for one in listed if _PROXY in {one.image, one.service} and one.state == "running"]
    if len(proxies) != 1:
        return
    (proxy,) = proxies
    service = Service(name=proxy.service or proxy.name, container=proxy.name)
    ports = [one for one in _published(survey, runtime, service) or () if one.port == _PROXY_PORT]
    survey.remarks_on("gateway", f"edge proxy: container {proxy.described}{_started_from(proxy)}")
    places = {(_name(one, runtime.host()), one.host_port) for one in ports}
    now = urlsplit(survey.target.gateway.url)
    if places and (_HERE if is_loopback(now.hostname or "") else now.hostname, now.port or _PROXY_PORT) not in places:
        name, port = min(places)
        value = f"http://{name}" if port == _PROXY_PORT else f"http://{name}:{port}"
        survey.finds("gateway", "url", value, f"port {_PROXY_PORT} of {proxy.name} is there")


def _name(port: PublishedPort, host: str) -> str:
    """Return the host at which a port is reached from here."""
    is_any = port.address in {"0.0.0.0", "::", ""} or is_loopback(port.address)  # noqa: S104 - compared with
    return host if is_any or host != _HERE else port.address
