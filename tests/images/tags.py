"""The tags of the images that are built here: the hash of everything that goes into one."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from runbook.local_stack.engine import docker

CHECKOUT: Final = Path(__file__).resolve().parents[2]
IMAGES: Final = Path(__file__).parent
REPOSITORY: Final = "crm-events-runbook"
_CHARACTERS: Final = 16


def tag(part: str, *contents: str) -> str:
    """Return repository, part and the hash of the contents."""
    digest = hashlib.sha256("\n".join(contents).encode()).hexdigest()
    return f"{REPOSITORY}/{part}:{digest[:_CHARACTERS]}"


def contents(paths: Iterable[Path]) -> Iterator[str]:
    """Yield name and content of every file, but for what Python leaves behind."""
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                yield f"{file.relative_to(CHECKOUT)}:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def is_there(image: str) -> bool:
    """Say whether the engine has this image."""
    return bool(docker("image", "ls", "--quiet", image).strip())
