"""The first table of docs/PERMISSIONS.md, read as records."""

import re
from dataclasses import dataclass
from typing import Final

from tests.command_line import CHECKOUT

DOCUMENT: Final = CHECKOUT / "docs/PERMISSIONS.md"
OF_APACHE_KAFKA: Final = {("Kafka", "ConsumerGroupDescribe"), ("Kafka", "DescribeGroups")}
"""What the local stack's mock cluster is not asked, as it could not answer."""
_TABLE: Final = re.compile(r"<!-- held by .* -->\n(.*?)<!-- end -->", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Row:
    """One request of the document: who sends it, and what it changes."""

    system: str
    request: str
    commands: tuple[str, ...]
    changes: str

    def means(self, system: str, request: str) -> bool:
        """Say whether a request is this one; `{id}` stands for one segment of a path."""
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(self.request))
        return system == self.system and re.fullmatch(pattern, request) is not None


def rows() -> tuple[Row, ...]:
    table = _TABLE.search(DOCUMENT.read_text(encoding="utf-8"))
    assert table
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].strip().splitlines()[2:]]
    return tuple(
        Row(system, request.strip("`"), tuple(commands.split(", ")), changes)
        for system, request, commands, changes in cells
    )
