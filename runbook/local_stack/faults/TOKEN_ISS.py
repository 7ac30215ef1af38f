"""The gateway expects tokens of Keycloak by another host name."""

from urllib.parse import urlsplit

from runbook.local_stack.fault_injector import FaultInjector


def inject(injector: FaultInjector) -> str:
    port = urlsplit(injector.target.keycloak.url).port
    injector.restart_stand_in("gateway", "--issuer-url", f"http://localhost:{port}")
    return "the gateway was given another host name of Keycloak"
