"""Why a connection failed: the reason of UnreachableError, of what requests, urllib3 or a socket raised."""

import socket


def failure_reason(error: BaseException) -> str:
    """Return the reason of UnreachableError for what requests, urllib3 or a socket raised."""
    from requests import Timeout
    from urllib3.exceptions import NameResolutionError, NewConnectionError
    from urllib3.exceptions import TimeoutError as GaveUp

    found = causes(error)
    if any(isinstance(cause, (NameResolutionError, socket.gaierror)) for cause in found):
        return "dns"
    # A refused connection is a NewConnectionError, which urllib3 derives from ConnectTimeoutError: ask for it first.
    if any(isinstance(cause, (NewConnectionError, ConnectionRefusedError)) for cause in found):
        return "refused"
    if any(isinstance(cause, (Timeout, GaveUp, TimeoutError)) for cause in found):
        return "timeout"
    return "broken"


def causes(error: BaseException) -> list[BaseException]:
    """Return the error with everything it wraps; requests and urllib3 nest theirs in arguments and `reason`."""
    found: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [*one.args, getattr(one, "reason", None), one.__cause__, one.__context__]
    return found


def system_text(error: BaseException) -> str:
    """Return the system's own words for a failure, such as `connection refused`."""
    texts = [cause.strerror for cause in causes(error) if isinstance(cause, OSError) and cause.strerror]
    return texts[0].lower() if texts else "the connection was refused"
