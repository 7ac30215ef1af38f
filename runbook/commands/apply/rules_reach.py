"""Whether the rules file of this host is one that Prometheus reads: refused before anything is written or restarted.

Neither a reload nor a restart brings a rule in that stands in another file than the mounted one, or in one that the
configuration does not list.
"""

from pathlib import Path

from runbook.errors import AnswerError, DocumentError, ProtocolError, RunbookError, UsageError
from runbook.files.file_discovery import mounted_rules
from runbook.invocation import inv
from runbook.settings import Target
from runbook.systems.http import answer_s
from runbook.systems.prometheus.client import Prometheus
from runbook.systems.runtime import Runtime
from runbook.wording import pasteable


def refuse_unread(target: Target, runtime: Runtime, path: Path, timeout_s: float) -> None:
    """Raise RunbookError if Prometheus is known to read another file than `path`, or not to list it.

    What neither the runtime nor Prometheus tells is no reason to refuse.
    """
    mine = target.prometheus
    mounted = _mounted(target, runtime)
    if mounted is not None and not _is_same(mounted, path):
        raise DocumentError(
            f"Prometheus reads another rules file: {mine.container} has {pasteable(mounted)} as {mine.rules_inside}; "
            "nothing was written",
            where=pasteable(path),
            fix=f"{inv(f'setup --rules {pasteable(mounted)}')}, or {inv('setup --no-restart')} to write this one alone",
        )
    try:
        config = Prometheus(mine, answer_s(timeout_s)).config()
    except (AnswerError, ProtocolError):
        return
    if not config.lists(mine.rules_inside):
        listed = ", ".join(config.rule_files) or "none"
        raise RunbookError(
            f"Prometheus does not load {mine.rules_inside}: its rule_files are {listed}; nothing was written",
            where=f"GET {mine.url}/api/v1/status/config",
            fix=f"add it to rule_files in prometheus.yml, then curl -X POST {mine.url}/-/reload, then {inv('setup')}; "
            f"or set {mine.place_of('rules_inside')} to the path that Prometheus reads",
        )


def _mounted(target: Target, runtime: Runtime) -> Path | None:
    """Return the file that Prometheus has as its rules file; None where that cannot be said."""
    if target.runtime.kind == "processes":
        return Path(target.prometheus.rules_inside)
    try:
        return mounted_rules(target, runtime)
    except UsageError:  # of another host
        return None


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one of them is not there, or may not be looked at: then the names decide
        return one.absolute() == other.absolute()
