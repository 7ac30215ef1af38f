"""File provisioning: files to dashboards, at start, every `updateIntervalSeconds`, and on demand.

As Grafana does it: the first look at the disk comes after the API answers; a file's modification time is looked at
first, so a change that keeps it is not seen; a bad file leaves the old dashboard served; a file that is gone takes its
dashboard along. The first look writes everything; then a uid that is used more than once takes the write access from
each provider that uses it, until the duplicate is gone or everything is provisioned anew.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from runbook.local_stack.fakes.grafana.configuration import Provider, made_up_uid
from runbook.local_stack.fakes.grafana.dashboards import Dashboards, InvalidDashboardError, Source, parsed
from runbook.local_stack.fakes.serving import log


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """What one file was when it was last read; `settled` means that it need not be read again."""

    modified_ns: int
    uid: str | None
    settled: bool


class Reader:
    """The files of one provider."""

    def __init__(self, provider: Provider, dashboards: Dashboards) -> None:
        self.provider = provider
        self.may_write = True
        self.due = 0.0
        self._dashboards = dashboards
        self._seen: dict[Path, _Seen] = {}

    def walk(self) -> None:
        """Look at every file once."""
        self.due = time.monotonic() + self.provider.update_interval_s
        if not self.provider.path.exists():
            self._say("error", "failed to search for dashboards", f"no such directory {self.provider.path}")
        files = set(self._files())
        for path in self._seen.keys() - files:
            del self._seen[path]
            if self.provider.deletes:
                self._dashboards.delete_from(self.provider.name, path)
        for path in sorted(files):
            self._read(path)

    def uids(self) -> list[str]:
        """Return the uid of every file; one that occurs twice is there twice."""
        return [seen.uid for seen in self._seen.values() if seen.uid is not None]

    def _files(self) -> Iterator[Path]:
        root = self.provider.path
        candidates = [root] if root.is_file() else root.rglob("*.json")
        for path in candidates:
            hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            if path.suffix == ".json" and path.is_file() and not hidden:
                yield path

    def _read(self, path: Path) -> None:
        """Serve the file if it changed since it was last settled."""
        try:
            modified_ns = path.stat().st_mtime_ns
            seen = self._seen.get(path)
            if seen is not None and seen.settled and seen.modified_ns == modified_ns:
                return
            content, has_bom = parsed(path.read_bytes())
        except (OSError, InvalidDashboardError) as error:
            self._say("error", f"failed to load dashboard from {path}", str(error))
            return
        uid = str(content.get("uid") or made_up_uid(str(path)))
        if has_bom:
            self._say("warn", f"{path} starts with a BOM", "tolerated here; Go's JSON decoder rejects it")
        if self.may_write:
            self._dashboards.save(uid, content, self._source(path))
        else:
            self._say("warn", "Not saving dashboard due to restricted database access", f"{path}")
        self._seen[path] = _Seen(modified_ns=modified_ns, uid=uid, settled=self.may_write)

    def _source(self, path: Path) -> Source:
        root = self.provider.path
        below = path.name if path == root else path.relative_to(root).as_posix()
        return Source(provider=self.provider.name, path=path, external_id=below)

    def _say(self, level: str, text: str, detail: str) -> None:
        log(f'logger=provisioning.dashboard name={self.provider.name} level={level} msg="{text}" error="{detail}"')


class Provisioner:
    """The thread that walks the providers; entering it starts it, leaving it stops it."""

    def __init__(
        self, providers: Callable[[], tuple[Provider, ...]], dashboards: Dashboards, first_look_after_s: float
    ) -> None:
        """`providers` reads the configuration, at start and on `reload`."""
        self._providers = providers
        self._dashboards = dashboards
        self._readers = self._new_readers()
        self._first_look_after_s = first_look_after_s
        self._walking = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="provisioning", daemon=True)

    def reload(self) -> None:
        """Read the configuration and every file again, now; raises ConfigurationError."""
        with self._walking:
            self._readers = self._new_readers()
            self._walk(self._readers)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _new_readers(self) -> tuple[Reader, ...]:
        return tuple(Reader(provider, self._dashboards) for provider in self._providers())

    def _run(self) -> None:
        wait_s: float | None = self._first_look_after_s
        while not self._stop.wait(wait_s):
            with self._walking:
                now = time.monotonic()
                self._walk(tuple(reader for reader in self._readers if reader.due <= now))
                due = min((reader.due for reader in self._readers), default=None)
            wait_s = None if due is None else max(0.0, due - time.monotonic())

    def _walk(self, readers: tuple[Reader, ...]) -> None:
        for reader in readers:
            reader.walk()
        self._restrict()

    def _restrict(self) -> None:
        """Take write access from the providers that share a uid, and give it back to the others."""
        uses = Counter(uid for reader in self._readers for uid in reader.uids())
        shared = {uid: count for uid, count in uses.items() if count > 1}
        for reader in self._readers:
            may_write = shared.keys().isdisjoint(reader.uids())
            if reader.may_write and not may_write:
                self._complain(reader, shared)
            reader.may_write = may_write

    def _complain(self, reader: Reader, shared: dict[str, int]) -> None:
        prefix = "logger=provisioning.dashboard level=warn"
        for uid in sorted(shared.keys() & set(reader.uids())):
            users = " ".join(other.provider.name for other in self._readers if uid in other.uids())
            log(
                f'{prefix} msg="the same UID is used more than once" uid={uid} times={shared[uid]}'
                f' providers="[{users}]"'
            )
        log(
            f'{prefix} msg="dashboards provisioning provider has no database write permissions because of duplicates"'
            f" provider={reader.provider.name}"
        )
