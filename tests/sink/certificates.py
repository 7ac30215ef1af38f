"""Keys and certificates for one test, made by the JRE that runs Kafka anyway; nobody outside trusts them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runbook.local_stack.kafka import found_kafka

KEY_PASSWORD: Final = "key-never-shown"  # noqa: S105  # of a key that lives as long as the test


@dataclass(frozen=True, slots=True)
class Identity:
    """A private key with a certificate that it has signed itself: who trusts the certificate trusts its holder."""

    keystore: Path  # PKCS#12, opened by KEY_PASSWORD
    certificate: Path  # PEM


def new_identity(folder: Path, name: str) -> Identity:
    """Make a key for a server or client on 127.0.0.1. Raises RunbookError without Java."""
    identity = Identity(folder / f"{name}.p12", folder / f"{name}.pem")
    keytool = found_kafka(print).java.with_name("keytool")
    stored = ("-alias", name, "-keystore", str(identity.keystore), "-storetype", "PKCS12", "-storepass:env", "PASSWORD")
    made = ("-keyalg", "EC", "-dname", f"CN={name}", "-ext", "san=ip:127.0.0.1", "-validity", "2")
    for task in (("-genkeypair", *made), ("-exportcert", "-rfc", "-file", str(identity.certificate))):
        subprocess.run([str(keytool), *task, *stored], check=True, capture_output=True, env={"PASSWORD": KEY_PASSWORD})
    return identity
