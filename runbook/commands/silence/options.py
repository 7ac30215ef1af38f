"""The options of `silence` and `unsilence`."""

from dataclasses import dataclass

from runbook.options import TargetOptions, option


@dataclass(frozen=True, kw_only=True)
class SilenceOptions(TargetOptions):
    """What `silence` was asked for."""

    reason: str = option("", help="why, for the colleagues who see it")
    duration: str = option("2h", help="how long: 30m, 2h, 1h30m, 2d")
    author: str = option("", help="who; default: your user name")


@dataclass(frozen=True, kw_only=True)
class UnsilenceOptions(TargetOptions):
    """What `unsilence` was asked for."""

    silence_id: str | None = option(None, flag="silence", help="end the silence of this id, whoever made it")
