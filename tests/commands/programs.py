"""Starting the programs of this folder, which fork: a test runner with threads must not."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]


def outcome(program: str, *arguments: str) -> dict[str, Any]:
    """Return what a program found; it ends within eight minutes."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, FOLDER / program, *arguments],
        capture_output=True,
        check=True,
        timeout=480,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    return dict(json.loads(done.stdout))
