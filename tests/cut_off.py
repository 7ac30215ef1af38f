"""What a kill in the middle of a write leaves behind, made without one: torn files, and the journal's entry of them."""

import os
from collections.abc import Sequence
from pathlib import Path

from runbook.files.file_io import Change
from runbook.files.journal import Intent, entered


def intents_of(changes: Sequence[Change]) -> list[Intent]:
    return [
        Intent(
            raw_path=os.fsencode(change.path),
            device=change.path.stat().st_dev,
            inode=change.path.stat().st_ino,
            before=change.before,
            after=change.after,
        )
        for change in changes
    ]


def cut_off(changes: Sequence[Change], journal: Path, *contents: bytes) -> None:
    """Leave an entry that nobody holds, and files that hold `contents`."""
    with entered(journal, intents_of(changes)):
        for change, content in zip(changes, contents, strict=True):
            change.path.write_bytes(content)
