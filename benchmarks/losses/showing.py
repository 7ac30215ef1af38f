"""What Grafana asks: its datasources, a proxy before Prometheus, and panel 20."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from benchmarks.losses.jobs import double_prometheus, federating_prometheus, scraping_prometheus, selector_of
from benchmarks.losses.scraping import other_prometheus, page_of, prometheus_of_staging, second_prometheus
from benchmarks.losses.world import Document, World
from runbook.local_stack.ports import Ports

QUERY: Final = "sum by (topic) (rate(crm_events_ingested_total[5m]))"
_PANEL: Final = 20  # the runbook's number
_SECOND: Final = "Staging"
_SECOND_UID: Final = "staging"


def _datasources(world: World) -> Path:
    return world.layout.monitoring / "grafana/provisioning/datasources/prometheus.yml"


def _of_uid(world: World, uid: str) -> Document | None:
    every: list[Document] = yaml.safe_load(_datasources(world).read_text("utf-8"))["datasources"]
    return next((one for one in every if one.get("uid") == uid), None)


def asked_by_grafana(world: World) -> str:
    """Return the address that Grafana's first datasource leads to."""
    url: str = yaml.safe_load(_datasources(world).read_text("utf-8"))["datasources"][0]["url"]
    return url


def asked_by_panel(world: World) -> str:
    """Return the address that panel 20's datasource leads to."""
    named = panel(world).get("datasource")
    own = _of_uid(world, named["uid"]) if isinstance(named, dict) and "uid" in named else None
    return own["url"] if own else asked_by_grafana(world)


def panel(world: World) -> Document:
    """Return panel 20 as the dashboard's file has it."""
    return next(_panels_20(_dashboard(world)))


def _dashboard(world: World) -> Document:
    document: Document = json.loads(world.layout.dashboard.read_text("utf-8-sig"))
    return document


def _panels_20(document: Document) -> Iterator[Document]:
    return (one for one in document["panels"] if one["id"] == _PANEL)


def _let_grafana_ask(world: World, address: str) -> None:
    path = _datasources(world)
    text = path.read_text("utf-8")
    path.write_text(text.replace(asked_by_grafana(world), f"http://{address}"), "utf-8")
    _restart(world)


def _restart(world: World) -> None:
    world.stop("grafana")
    world.start("grafana")


def _change_panels(world: World, change: Callable[[Document], None]) -> None:
    document = _dashboard(world)
    change(document)
    world.layout.dashboard.write_text(json.dumps(document, indent=2), "utf-8")
    _restart(world)


def _change_panel(world: World, change: Callable[[Document], Any]) -> None:
    def changed(document: Document) -> None:
        for one in _panels_20(document):
            change(one)

    _change_panels(world, changed)


def _other_prometheus(world: World, *numbers: str) -> None:
    _let_grafana_ask(world, prometheus_of_staging(world, *numbers) if numbers else other_prometheus(world, {}))


def _answers(world: World, variant: str, *arguments: str) -> None:
    port = Ports.free().prometheus
    world.beside("benchmarks.losses.broken.answers", str(port), world.target.prometheus.url, variant, *arguments)
    world.wait_for_answer(f"http://127.0.0.1:{port}/-/ready")
    _let_grafana_ask(world, f"127.0.0.1:{port}")


def _copy_of_prometheus(world: World) -> str:
    """Start a Prometheus with the store as it is now, that scrapes nothing; return its host and port."""
    store = world.directory / "store-of-before"
    world.stop("prometheus")
    shutil.copytree(world.layout.data / "prometheus", store)
    (store / "lock").unlink(missing_ok=True)
    world.start("prometheus")
    return other_prometheus(world, {}, store)


def _change_datasource(world: World, settings: str) -> None:
    wanted = json.loads(settings)
    document = yaml.safe_load(_datasources(world).read_text("utf-8"))
    document["datasources"][0].update(wanted)
    _datasources(world).write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    _restart(world)


def _add_datasource(world: World, address: str) -> None:
    document = yaml.safe_load(_datasources(world).read_text("utf-8"))
    new = {"name": _SECOND, "uid": _SECOND_UID, "type": "prometheus", "access": "proxy", "url": f"http://{address}"}
    document["datasources"].append(new)
    _datasources(world).write_text(yaml.safe_dump(document, sort_keys=False), "utf-8")
    _restart(world)


def _datasource_host(world: World, host: str) -> None:
    _let_grafana_ask(world, f"{host}:{asked_by_grafana(world).rpartition(':')[2]}")


def _another_dashboard(world: World) -> None:
    """Add a dashboard with panels of other people beside the runbook's."""
    document = _dashboard(world)
    document.update(uid="of-others", title="Of others", id=None)
    for number, one in enumerate(document["panels"], start=100):
        one.update(id=number, title=f"Mine {number}")
    world.layout.dashboard.with_name("of-others.json").write_text(json.dumps(document), "utf-8")
    _restart(world)


def _panel_filter(world: World, tenant: str) -> None:
    def changed(one: Document) -> None:
        for target in one["targets"]:
            target["expr"] = target["expr"].replace("_total[", f'_total{{tenant_id="{tenant}"}}[')

    _change_panel(world, changed)


def _panel_query(world: World, expression: str) -> None:
    _change_panel(world, lambda one: one["targets"][0].update(expr=expression))


def _panel_datasource(world: World) -> None:
    source = {"type": "prometheus", "uid": _SECOND_UID}

    def changed(one: Document) -> None:
        one["datasource"] = source
        for target in one["targets"]:
            target["datasource"] = source

    _change_panel(world, changed)


def _panel_title(world: World, title: str) -> None:
    _change_panel(world, lambda one: one.update(title=title, description=title, gridPos={**one["gridPos"], "h": 11}))


def _panel_more(world: World) -> None:
    def changed(document: Document) -> None:
        mine = json.loads(json.dumps(next(_panels_20(document))))
        mine.update(id=99, title="Mine")
        mine["targets"][0]["expr"] = "sum(up)"
        document["panels"].append(mine)

    _change_panels(world, changed)


VERBS: Final[dict[str, Callable[..., None]]] = {
    "other-prometheus": _other_prometheus,
    "grafana-asks-the-pair": lambda world: _let_grafana_ask(world, world.noted["pair"]),
    "grafana-asks-a-copy": lambda world: _let_grafana_ask(world, _copy_of_prometheus(world)),
    "grafana-asks-a-double": lambda world: _let_grafana_ask(world, double_prometheus(world)),
    "grafana-asks-a-federation": lambda world, topic: _let_grafana_ask(
        world, federating_prometheus(world, selector_of(topic))
    ),
    "grafana-asks-a-second": lambda world: _let_grafana_ask(world, second_prometheus(world)),
    "grafana-asks-one-of-one-sink": lambda world: _let_grafana_ask(world, scraping_prometheus(world)),
    "grafana-asks-one-behind": lambda world, *page: _let_grafana_ask(
        world, scraping_prometheus(world, page_of(world, *page))
    ),
    "grafana-asks-prometheus": lambda world: _let_grafana_ask(world, urlsplit(world.target.prometheus.url).netloc),
    "answers": _answers,
    "second-datasource": lambda world, *numbers: _add_datasource(world, prometheus_of_staging(world, *numbers)),
    "twin-datasource": lambda world: _add_datasource(world, asked_by_grafana(world).removeprefix("http://")),
    "datasource": _change_datasource,
    "datasource-path": lambda world, path: _let_grafana_ask(world, asked_by_grafana(world)[len("http://") :] + path),
    "datasource-host": _datasource_host,
    "panel-filter": _panel_filter,
    "panel": lambda world, *words: _panel_query(world, " ".join(words)),
    "panel-datasource": _panel_datasource,
    "panel-title": lambda world, *words: _panel_title(world, " ".join(words)),
    "panel-settings": lambda world, settings: _change_panel(world, lambda one: one.update(json.loads(settings))),
    "dashboard": lambda world, settings: _change_panels(world, lambda document: document.update(json.loads(settings))),
    "panel-more": _panel_more,
    "another-dashboard": _another_dashboard,
}
