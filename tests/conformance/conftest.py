"""Programs that conformance needs: wanted everywhere, required where CI=true."""

import os
import shutil
from typing import NoReturn

import pytest

from tests.conformance.frontend import VERSIONS, Frontend, UnavailableError, bundled_frontend


@pytest.fixture(scope="session", params=VERSIONS)
def frontend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Frontend:
    """Grafana's frontend code, in each version."""
    try:
        return bundled_frontend(request.param, tmp_path_factory.mktemp("bundle"))
    except UnavailableError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def prometheus() -> str:
    """The real program, by its variable or on PATH."""
    path = os.environ.get("PROMETHEUS") or shutil.which("prometheus")
    return path or missing("prometheus was not found: set PROMETHEUS to it, or put it on PATH")


def missing(what: str) -> NoReturn:
    """Skip what cannot be run here; where nothing may be skipped, fail."""
    if os.environ.get("CI") == "true":
        pytest.fail(what)
    pytest.skip(what)
