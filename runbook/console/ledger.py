"""The ledger on a screen: one row per created entity, one column per hop with the time since it was sent."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from runbook.console.views import STYLES, heading, quiet_table, word
from runbook.invocation import inv
from runbook.model import HopSight, Ledger, LedgerRow, LedgerSum
from runbook.wording import span, visible, visible_line

MOST_ROWS = 20  # more than a screen helps nobody; the record holds every row


def ledger_view(ledger: Ledger) -> RenderableType:
    """Return the ledger: rows, what was seen where a row is not proven, and the sums."""
    title = f"Ledger of run {ledger.run_id}: {ledger.proven} of {len(ledger.rows)} proven{_reach(ledger.rows)}"
    rows = _chosen(ledger.rows)
    parts: list[RenderableType] = [heading(title), _table(rows)]
    left = len(ledger.rows) - len(rows)
    if left:
        parts.append(Text(f"and {left} more; {inv('report')} shows up to 1000, the run log all", style="dim"))
    parts.extend(_shortfalls(rows))
    if ledger.sums:
        parts.extend(("", heading("Sums: ours + others = delta of the counter"), _sums(ledger.sums)))
    return Group(*parts)


def _chosen(rows: tuple[LedgerRow, ...]) -> tuple[LedgerRow, ...]:
    """Return at most MOST_ROWS rows in their order; those that are not proven come before proven ones."""
    ranked = sorted(range(len(rows)), key=lambda index: (rows[index].outcome == "ok", index))
    return tuple(rows[index] for index in sorted(ranked[:MOST_ROWS]))


def _hops(rows: tuple[LedgerRow, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(hop.hop for row in rows for hop in row.hops))


def _reach(rows: tuple[LedgerRow, ...]) -> str:
    """Return how far the proof goes: after traffic alone it ends where it begins."""
    hops = _hops(rows)
    if not hops:
        return ""
    return f" from {hops[0]} to {hops[-1]}" if len(hops) > 1 else f" at {hops[0]} only"


def _table(rows: tuple[LedgerRow, ...]) -> Table:
    hops = _hops(rows)
    table = quiet_table()
    table.add_column("sent", no_wrap=True)
    for hop in hops:
        table.add_column(visible_line(hop), justify="right", overflow="fold")
    table.add_column("", no_wrap=True)
    for row in rows:
        seen = {hop.hop: hop for hop in row.hops}
        name = f"{row.created.kind} {row.created.id}"
        table.add_row(name, *(_cell(row, seen.get(hop)) for hop in hops), word(row.outcome))
    return table


def _cell(row: LedgerRow, hop: HopSight | None) -> Text:
    if hop is None:
        return Text("")
    if hop.outcome != "ok":
        return Text("no" if hop.outcome == "failed" else "?", style=STYLES[hop.outcome])
    if hop.at is None:
        return Text("ok", style=STYLES["ok"])
    return Text(span((hop.at - row.created.sent_at).total_seconds()))


def _shortfalls(rows: tuple[LedgerRow, ...]) -> Iterator[Text]:
    """Yield what was seen at the first hop where each unproven row was lost or could not be looked at."""
    for row in rows:
        lost = next((hop for hop in row.hops if hop.outcome != "ok"), None)
        if lost is not None:
            name = f"{row.created.kind} {row.created.id} ({visible_line(row.created.label)})"
            yield Text.assemble(f"{name} at {visible_line(lost.hop)}: ", word(lost.outcome), f", {visible(lost.saw)}")


def _sums(sums: tuple[LedgerSum, ...]) -> Table:
    table = quiet_table()
    table.add_column("counter", overflow="fold")
    table.add_column("topic", no_wrap=True)
    table.add_column("tenant", overflow="fold")
    for name in ("ours", "others", "delta"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for item in sums:
        names = (visible_line(text) for text in (item.source, item.topic, item.tenant_id))
        figures = ("?" if figure is None else str(figure) for figure in (item.ours, item.others, item.delta))
        table.add_row(*names, *figures, word(item.outcome))
    return table
