"""Every error an operator can meet: what was seen, where, what to do next; and the exit codes."""

from enum import IntEnum
from typing import ClassVar, Final, Self

FOREIGN: Final = (ValueError, OverflowError, RecursionError)
"""What reading the input of others raises, besides an error of its format.

Wrong text and integers of too many digits are ValueErrors, times that no clock shows OverflowErrors.
"""


class ExitCode(IntEnum):
    """The one table of exit codes; the README shows the same."""

    OK = 0, "ok"
    PROBLEM = 1, "a named problem"
    CHANGES_PENDING = 2, "changes pending (dry run)"
    INCONCLUSIVE = 3, "inconclusive, or a criterion could not be checked"
    USAGE = 4, "usage or settings"
    LOCKED = 5, "another run holds the lock"
    ROLLED_BACK = 6, "failed and rolled back"
    INTERRUPTED = 130, "interrupted; changes were undone, or are listed"

    meaning: str

    def __new__(cls, value: int, meaning: str) -> Self:
        """Give each code its meaning, so that documents and code cannot differ."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member


class RunbookError(Exception):
    """A problem in three parts.

    `seen` is what was observed, `where` names the file, line, URL or service, `fix` is the next command or
    action. None of them ever holds a secret.
    """

    exit_code: ClassVar[ExitCode] = ExitCode.PROBLEM

    def __init__(self, seen: str, *, where: str, fix: str) -> None:
        """Keep the three parts; the text of the exception is all of them."""
        super().__init__(f"{seen}\n{where}\nFix: {fix}")
        self.seen = seen
        self.where = where
        self.fix = fix


class UsageError(RunbookError):
    """An option, a setting or runbook.toml is wrong; nothing was started."""

    exit_code = ExitCode.USAGE


class LockedError(RunbookError):
    """Another command is using the same target."""

    exit_code = ExitCode.LOCKED


class RolledBackError(RunbookError):
    """The change did not come to be served; the files are as they were before."""

    exit_code = ExitCode.ROLLED_BACK


class DocumentError(RunbookError):
    """A dashboard or rules file is not what the runbook expects; it was left untouched."""


class UnreachableError(RunbookError):
    """A system did not answer: refused, timed out, or its name does not resolve.

    `reason` is one of "refused", "timeout", "dns", "broken" (closed in the middle of an answer), and for the
    Docker engine also "missing" (no socket) and "permission".
    """

    def __init__(self, seen: str, *, where: str, fix: str, reason: str) -> None:
        """Keep the reason apart from the prose: checks decide on it."""
        super().__init__(seen, where=where, fix=fix)
        self.reason = reason


class ProtocolError(RunbookError):
    """A system is there, or a proxy before it, and could not be spoken to: it is never called down.

    `reason` is one of
    "tls_expired", "tls_not_yet_valid", "tls_unknown_ca", "tls_other_name" (its certificate),
    "tls_client_certificate" (it wants ours, or refuses it), "tls_version" (it knows none that is safe),
    "tls_on_plain_port", "plain_on_tls_port" (http and https mixed up), "tls" (anything else about TLS),
    "proxy" (one of the environment stands between and fails), "not_http" (what came is no HTTP).
    """

    def __init__(self, seen: str, *, where: str, fix: str, reason: str) -> None:
        """Keep the reason apart from the prose, as UnreachableError does."""
        super().__init__(seen, where=where, fix=fix)
        self.reason = reason

    @property
    def is_of_a_proxy(self) -> bool:
        """Whether what failed stands before the system, of which nothing is known then."""
        return self.reason == "proxy"


class AnswerError(RunbookError):
    """A system answered, but not with what it was asked for.

    `status` is the HTTP status (200 with an error body is possible), `code` the machine-readable error of the
    body where it has one (`invalid_grant`), `body` at most 500 characters of the answer without secrets.
    """

    def __init__(self, seen: str, *, where: str, fix: str, status: int, code: str = "", body: str = "") -> None:
        """Keep status and code apart from the prose: checks decide on them, prose differs by version."""
        super().__init__(seen, where=where, fix=fix)
        self.status = status
        self.code = code
        self.body = body


class WaitError(RunbookError):
    """A state did not come before its deadline, or became impossible; `seen` quotes the last evidence."""
