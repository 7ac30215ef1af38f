"""Where each thing of the local stack lies in its folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from runbook.settings import STACK_DIR, STATE_DIR


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths under `.stack/`; records and logs are the launcher's."""

    root: Path

    @classmethod
    def of(cls, directory: Path) -> Self:
        """Return the layout of the stack of a working directory."""
        return cls(directory.absolute() / STACK_DIR)

    @property
    def state_dir(self) -> Path:
        """Return the folder of the runs, beside the stack's."""
        return self.root.parent / STATE_DIR

    @property
    def plan(self) -> Path:
        """Return the file with every service as it was planned; only its owner can read it."""
        return self.root / "plan.json"

    @property
    def target(self) -> Path:
        """Return the settings of target `local`: written last, so that its presence means "it was up"."""
        return self.root / "target.toml"

    @property
    def monitoring(self) -> Path:
        """Return the copy of monitoring/ that setup changes."""
        return self.root / "monitoring"

    @property
    def dashboard(self) -> Path:
        """Return the dashboard of the copy."""
        return self.monitoring / "grafana/dashboards/crm_events_pipeline.json"

    @property
    def rules(self) -> Path:
        """Return the rules file of the copy."""
        return self.monitoring / "prometheus-crm-events-rules.yml"

    @property
    def data(self) -> Path:
        """Return the folder for what the services store."""
        return self.root / "data"

    @property
    def bootstrap(self) -> Path:
        """Return the file into which the broker writes its address once it serves."""
        return self.data / "kafka-bootstrap"

    @property
    def database_password(self) -> Path:
        """Return the file with the password of PostgreSQL's role; only its owner can read it."""
        return self.data / "database-password"

    @property
    def journal_dsn(self) -> Path:
        """Return the file with the address of the sink's journal in PostgreSQL, password included."""
        return self.data / "journal-dsn"

    @property
    def keycloak_admin(self) -> Path:
        """Return the file with the password of Keycloak's user `admin`; only its owner can read it."""
        return self.data / "keycloak-admin"
