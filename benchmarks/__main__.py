"""Runs one benchmark by its name: `python -m benchmarks NAME [its own options]`."""

import runpy
import sys
from difflib import get_close_matches
from pathlib import Path


def main() -> None:
    """Run the benchmark that the command line names; exit code 4 if there is none of that name."""
    here = Path(__file__).parent
    known = sorted({path.stem for path in here.glob("[a-z]*.py")} | {p.parent.name for p in here.glob("*/__main__.py")})
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in known:
        near = get_close_matches(name, known) or known
        print(f"There is no benchmark {name!r}\n{here}\nFix: one of {', '.join(near)}", file=sys.stderr)
        sys.exit(4)
    sys.argv = sys.argv[1:]
    runpy.run_module(f"benchmarks.{name}", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
