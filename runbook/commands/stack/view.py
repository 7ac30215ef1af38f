"""How the services of a local stack are shown."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.text import Text

from runbook.commands.stack.result import StackResult
from runbook.console.views import cell, named_table
from runbook.model import ServiceStatus
from runbook.wording import visible_line


def views(result: StackResult) -> Iterator[RenderableType]:
    """Yield what the command shows, from top to bottom."""
    if result.parts is not None:
        yield services_view(result.parts)


def services_view(services: Sequence[ServiceStatus]) -> RenderableType:
    """Return which program each service is, and whether it is the real one."""
    if not services:
        return Text("The local stack is not up.")
    whole = ("service", "", "state", "pid")
    table = named_table("service", "", "state", "pid", "address, and the program there", whole=whole)
    for service in services:
        kind = Text(service.kind, style="green" if service.kind == "real" else "yellow")
        state = Text("running", style="green") if service.running else Text("down", style="bold red")
        pid = "" if service.pid is None else str(service.pid)
        table.add_row(cell(service.name), kind, state, pid, _program(service))
    return table


def _program(service: ServiceStatus) -> Text:
    plays = f"{service.plays}: {service.detail}" if service.detail else service.plays
    return Text.assemble(visible_line(service.address), "\n", (visible_line(plays), "dim"))
