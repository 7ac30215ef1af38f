"""Prometheus asks for a login."""

from runbook.local_stack.fault_injector import FaultInjector

_HASH = "$2b$12$cvol1QEgGY2SdWOSRZi.VuJxsOVzJRCrY.RYGKcdrRCKQFxI3S4wq"  # of a password that nobody is told


def inject(injector: FaultInjector) -> str:
    config = injector.layout.data / "web.yml"
    config.write_text(f"basic_auth_users:\n  ops: {_HASH}\n", encoding="utf-8")
    injector.restart_refusing("prometheus", f"--web.config.file={config}")
    return "Prometheus was made to ask for a login"
