"""`python -m runbook.local_stack.fakes.grafana`: Grafana's HTTP API for one folder of provisioning files.

The admin's login comes from GF_SECURITY_ADMIN_USER and GF_SECURITY_ADMIN_PASSWORD (default admin/admin). More users
come from STAND_IN_USERS: `NAME:PASSWORD:ROLE,...`, with one of the roles None, Viewer, Editor and Admin.

Deviations from Grafana:
- a dashboard file that starts with a BOM is served, with a line in the log, although Go's JSON decoder rejects it: the
  reference installation has such a file;
- there is no database: a restart forgets versions, and a changed admin password counts at once;
- the page of a dashboard is a plain table behind basic authentication, without a login form.
"""

import argparse
import os
from functools import partial
from pathlib import Path

from runbook.local_stack.fakes.grafana.api import Api
from runbook.local_stack.fakes.grafana.configuration import ConfigurationError, providers
from runbook.local_stack.fakes.grafana.dashboards import Dashboards
from runbook.local_stack.fakes.grafana.provisioning import Provisioner
from runbook.local_stack.fakes.grafana.users import User, users_of
from runbook.local_stack.fakes.serving import Server, fail
from runbook.platforms import hold_signals, wait_for_end

NAME = "grafana"


def main() -> None:
    """Serve until SIGTERM."""
    options = _options()
    hold_signals()
    dashboards = Dashboards()
    try:
        users = _users()
        provisioner = Provisioner(partial(providers, options.provisioning), dashboards, options.first_load_after)
        api = Api(options.provisioning, dashboards, provisioner, users)
    except (ConfigurationError, ValueError) as error:
        fail(NAME, str(error))
    with Server(NAME, options.port, api.app()), provisioner:
        wait_for_end()


def _users() -> tuple[User, ...]:
    admin = User(
        name=os.environ.get("GF_SECURITY_ADMIN_USER", "admin"),
        password=os.environ.get("GF_SECURITY_ADMIN_PASSWORD", "admin"),
    )
    others = os.environ.get("STAND_IN_USERS")
    return (admin, *users_of(others)) if others else (admin,)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=f"python -m {__package__}",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--port", type=int, required=True, help="port on 127.0.0.1")
    add(
        "--provisioning", type=Path, required=True, metavar="DIR",
        help="folder that holds datasources/*.yml and dashboards/*.yml",
    )  # fmt: skip
    add(
        "--first-load-after", type=float, default=0.2, metavar="S",
        help="seconds after the start before dashboards are read; the API answers earlier (default: 0.2)",
    )  # fmt: skip
    return parser.parse_args()


if __name__ == "__main__":
    main()
