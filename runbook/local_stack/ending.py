"""The end of the local stack: its processes in the order of their needs, then its folder, but for changed files."""

import shutil
from collections.abc import Sequence

from runbook.local_stack.kept_files import KeptFile, keep_changed
from runbook.local_stack.layout import Layout
from runbook.local_stack.service_spec import ServiceSpec, saved_plan
from runbook.observer import Observer
from runbook.systems.processes.launcher import Launcher

STOP_S = 10.0  # from SIGTERM to SIGKILL: the sink commits and leaves its group in that time


def end_all(layout: Layout) -> bool:
    """End the recorded services, those that need others first, and then whatever else carries the folder's mark."""
    launcher = Launcher(layout.root)
    running = {name for name in launcher.names() if (record := launcher.record(name)) and launcher.process(record)}
    plan = saved_plan(layout)
    for names in _in_order_of_end(plan.services if plan else (), running):
        launcher.stop(names, timeout_s=STOP_S)
    return bool(launcher.stop_strays(timeout_s=STOP_S) or running)


def _in_order_of_end(services: Sequence[ServiceSpec], running: set[str]) -> list[set[str]]:
    """Return groups of names: nobody in a later group needs anybody in an earlier one."""
    needs = {service.name: set(service.needs) for service in services}
    left, groups = set(running), []
    while left:
        needed = set().union(*(needs.get(name, set()) for name in left))
        groups.append(left - needed or left)
        left -= groups[-1]
    return groups


def clear(layout: Layout, observer: Observer, *, keep_logs: bool) -> tuple[KeptFile, ...]:
    """Remove the folder, but for the logs that explain a failure; return, and say, what was kept of it elsewhere."""
    if not layout.root.exists():
        return ()
    kept = keep_changed(layout.root, layout.state_dir)
    say_kept(kept, observer)
    layout.target.unlink(missing_ok=True)  # first: without it there is no stack
    for path in layout.root.iterdir():
        if keep_logs and path.name == "logs":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    if not keep_logs:
        layout.root.rmdir()
    return kept


def say_kept(kept: Sequence[KeptFile], observer: Observer) -> None:
    """Name each kept file, and where its copy is."""
    for one in kept:
        observer.says(str(one))
