"""A plain page for a browser: the panels of a dashboard and what their queries answer now."""

import html
import time
from collections.abc import Mapping
from typing import Any

from runbook.local_stack.fakes.grafana import prometheus
from runbook.local_stack.fakes.grafana.configuration import DataSource
from runbook.local_stack.fakes.grafana.dashboards import Dashboard
from runbook.local_stack.fakes.serving import Response

_REFRESH_S = 10
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="{refresh}"><title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 2rem; }} td, th {{ text-align: left; padding: .3rem 1rem .3rem 0; }}
pre {{ margin: 0; }}</style></head>
<body><h1>{title}</h1><p>A stand-in for Grafana: each panel's query, answered now.</p>
<table><tr><th>Id</th><th>Panel</th><th>Query</th><th>Now</th></tr>
{rows}
</table></body></html>
"""
_ROW = "<tr><td>{number}</td><td>{title}</td><td><code>{expr}</code></td><td><pre>{values}</pre></td></tr>"


def dashboard_page(dashboard: Dashboard, source: DataSource | None) -> Response:
    """Return the page; queries are asked of `source`, the default data source."""
    rows = [_row(panel, source) for panel in dashboard.content.get("panels", [])]
    page = _PAGE.format(refresh=_REFRESH_S, title=html.escape(dashboard.title), rows="\n".join(rows))
    return Response(status=200, body=page.encode(), content_type="text/html; charset=utf-8")


def _row(panel: Mapping[str, Any], source: DataSource | None) -> str:
    exprs = [str(target["expr"]) for target in panel.get("targets", []) if target.get("expr")]
    values = [value for expr in exprs for value in _values(source, expr)] if source else []
    return _ROW.format(
        number=html.escape(str(panel.get("id", ""))),
        title=html.escape(str(panel.get("title", ""))),
        expr=html.escape("\n".join(exprs)),
        values=html.escape("\n".join(values)),
    )


def _values(source: DataSource, expr: str) -> list[str]:
    try:
        data = prometheus.ask(source.url, "query", {"query": expr, "time": f"{time.time():.3f}"})
    except prometheus.PrometheusError as error:
        return [str(error)]
    if data["resultType"] != "vector":
        return [str(data["result"][1])]
    return [f"{' '.join(each['metric'].values())} {each['value'][1]}".strip() for each in data["result"]] or ["No data"]
