"""The health pages: what they say when all is well, and why not when it is not."""

from collections.abc import Iterator

import pytest
import requests

from sink.health import STALLED_AFTER_S, Health, health_routes
from sink.http_server import HttpServer


@pytest.fixture
def health() -> Health:
    return Health(connected=True, assigned=4)


@pytest.fixture
def url(health: Health) -> Iterator[str]:
    server = HttpServer("127.0.0.1", 0, health_routes(health))
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    server.server_close()


def test_healthy(url: str) -> None:
    """A sink at work answers as the one before it did, letter by letter."""
    answer = requests.get(f"{url}/health", timeout=5)
    assert (answer.status_code, answer.text) == (200, '{"status":"healthy","service":"crm-events-sink"}')
    assert requests.get(f"{url}/livez", timeout=5).json() == {"alive": True, "assigned_partitions": 4}
    assert requests.get(f"{url}/readyz?verbose", timeout=5).json() == {"ready": True, "assigned_partitions": 4}
    assert requests.get(f"{url}/events/latest", timeout=5).status_code == 404


@pytest.mark.parametrize(
    ("trouble", "statuses"),
    [
        ({"last_iteration_at": -STALLED_AFTER_S}, [503, 503, 503]),
        ({"connected": False}, [503, 200, 503]),
        ({"blocked_by": "dead-letter topic x does not acknowledge"}, [503, 200, 503]),
        ({"assigned": 0}, [200, 200, 503]),
    ],
)
def test_trouble(url: str, health: Health, trouble: dict[str, object], statuses: list[int]) -> None:
    """Each trouble shows on /health, /livez and /readyz as far as it matters there, with its reason."""
    for name, value in trouble.items():
        setattr(health, name, value)
    answers = [requests.get(f"{url}/{page}", timeout=5) for page in ("health", "livez", "readyz")]
    assert [answer.status_code for answer in answers] == statuses
    assert all(answer.json()["reason"] for answer in answers if answer.status_code == 503)
