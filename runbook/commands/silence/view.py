"""How silences are shown."""

from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from runbook.commands.silence.result import Silenced, SilenceResult
from runbook.wording import moment, visible, visible_line


def views(result: SilenceResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    if result.silences is not None:
        yield silences_view(result.silences)


def silences_view(silences: Sequence[Silenced]) -> RenderableType:
    """Return the silences made or ended: alert, until when, by whom, why, and the id that ends it."""
    if not silences:
        return Text("No silence.")
    return Group(*(_silence(item) for item in silences))


def _silence(item: Silenced) -> RenderableType:
    end = f"{'ended' if item.state == 'expired' else 'silenced until'} {moment(item.ends_at)}"
    return Group(
        Text.assemble((visible_line(item.alert), "bold"), f" {end} by {visible_line(item.author)}"),
        Text(f"  {visible(item.reason)}"),
        Text(f"  id {visible_line(item.id)}", style="dim"),
    )
