"""The dashboards that are served, where each came from, and its version."""

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

_BOM = b"\xef\xbb\xbf"


class InvalidDashboardError(Exception):
    """A file is no dashboard that Grafana would take; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The provider and the file that own a dashboard; `external_id` is the path below the provider's folder."""

    provider: str
    path: Path
    external_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """One dashboard as it is served."""

    number: int
    uid: str
    version: int
    content: Mapping[str, Any]
    source: Source
    created: str
    updated: str

    @property
    def title(self) -> str:
        """The title, which a file must have."""
        return str(self.content["title"])

    @property
    def url(self) -> str:
        """The path of its page."""
        return f"/d/{self.uid}/{self.slug}"

    @property
    def slug(self) -> str:
        """The title as a part of a URL."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")

    def document(self) -> dict[str, Any]:
        """Return what the API answers for it."""
        meta = {
            "type": "db",
            "canSave": True,
            "canEdit": True,
            "canAdmin": True,
            "canStar": True,
            "canDelete": True,
            "slug": self.slug,
            "url": self.url,
            "expires": "0001-01-01T00:00:00Z",
            "created": self.created,
            "updated": self.updated,
            "version": self.version,
            "isFolder": False,
            "folderId": 0,
            "folderUid": "",
            "folderTitle": "General",
            "provisioned": True,
            "provisionedExternalId": self.source.external_id,
        }
        ours = {"id": self.number, "uid": self.uid, "version": self.version}
        return {"meta": meta, "dashboard": {**self.content, **ours}}


class Dashboards:
    """All served dashboards by uid; safe for several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_uid: dict[str, Dashboard] = {}
        self._numbers = 0

    def get(self, uid: str) -> Dashboard | None:
        """Return the dashboard of that uid, if it is served."""
        with self._lock:
            return self._by_uid.get(uid)

    def save(self, uid: str, content: Mapping[str, Any], source: Source) -> None:
        """Serve `content`; its version goes up if it or its source differs from what is served."""
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        with self._lock:
            old = self._by_uid.get(uid)
            if old is None:
                self._numbers += 1
                self._by_uid[uid] = Dashboard(
                    number=self._numbers, uid=uid, version=1, content=content, source=source,
                    created=now, updated=now,
                )  # fmt: skip
            elif (old.content, old.source) != (content, source):
                self._by_uid[uid] = replace(old, version=old.version + 1, content=content, source=source, updated=now)

    def delete_from(self, provider: str, path: Path) -> None:
        """Stop serving what came from this file, unless another file owns it now."""
        with self._lock:
            for uid, dashboard in list(self._by_uid.items()):
                if (dashboard.source.provider, dashboard.source.path) == (provider, path):
                    del self._by_uid[uid]


def parsed(raw: bytes) -> tuple[dict[str, Any], bool]:
    """Return a dashboard file's content, and whether it starts with a BOM. Raises InvalidDashboardError."""
    try:
        content = json.loads(raw.removeprefix(_BOM).decode())
    except ValueError as error:
        raise InvalidDashboardError(str(error)) from error
    if not isinstance(content, dict):
        raise InvalidDashboardError("not a JSON object")
    if "apiVersion" in content or "elements" in content:
        raise InvalidDashboardError("schema v2 (apiVersion, elements) is not supported by file provisioning")
    if not content.get("title"):
        raise InvalidDashboardError("Dashboard title cannot be empty")
    return content, raw.startswith(_BOM)
