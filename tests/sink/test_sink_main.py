"""The start and the end of the service, in this process."""

import os
import socket
import threading

import pytest
import requests
from confluent_kafka import KafkaError

from sink.__main__ import serve
from sink.consumer import EventConsumer, FatalKafkaError
from sink.environment import SettingsError
from sink.health import Health
from sink.log_writer import LogWriter
from sink.metrics import Metrics
from sink.settings import Settings, load_settings
from tests.sink.mock_kafka import MockKafka
from tests.sink.running import FAST
from tests.sink.sink_process import LEADS, SCRAPE, Samples, event, free_ports, wait_until


def new_settings(kafka: MockKafka, **env: str) -> Settings:
    """Return settings with free ports."""
    prom_port, http_port = free_ports(2)
    return load_settings(
        {
            **FAST,
            "KAFKA_BOOTSTRAP": kafka.bootstrap,
            "PROM_PORT": str(prom_port),
            "HTTP_PORT": str(http_port),
            "TOPICS": LEADS,
            **env,
        }
    )


def test_serve(kafka: MockKafka, capfd: pytest.CaptureFixture[str]) -> None:
    """From the settings to a counted event, a scrape, and an orderly end."""
    kafka.create(LEADS, 1)
    kafka.send(LEADS, [event("acme")])
    settings, stop, codes = new_settings(kafka, SINK_JOURNAL="none"), threading.Event(), list[int]()
    thread = threading.Thread(target=lambda: codes.append(serve(settings, stop, None)))
    thread.start()
    url = f"http://127.0.0.1:{settings.prom_port}/metrics"

    def scraped() -> float:
        try:
            return Samples(requests.get(url, headers=SCRAPE, timeout=5).text).counted()
        except requests.ConnectionError:
            return 0.0

    wait_until(lambda: scraped() == 1)
    stop.set()
    thread.join(20)
    assert codes == [0]
    said = capfd.readouterr().out
    assert "Journal: none" in said
    ports = {f"http-{settings.prom_port}", f"http-{settings.http_port}"}
    wait_until(lambda: not ports & {thread.name for thread in threading.enumerate()})


def test_refused_by_librdkafka(kafka: MockKafka) -> None:
    """What only librdkafka can judge is refused with the variable's name as well."""
    settings = new_settings(kafka, KAFKA_SECURITY_PROTOCOL="carrier-pigeon")
    with pytest.raises(SettingsError, match=r"^KAFKA_SECURITY_PROTOCOL: .*carrier-pigeon"):
        serve(settings, threading.Event(), None)


def test_port_taken(kafka: MockKafka) -> None:
    """A port in use is named by its variable."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = new_settings(kafka, HTTP_PORT=str(taken.getsockname()[1]))
        with pytest.raises(OSError, match=r"^HTTP_PORT: cannot listen on 127\.0\.0\.1 port "):
            serve(settings, threading.Event(), None)


def test_fatal_error(kafka: MockKafka) -> None:
    """An error that librdkafka cannot survive ends the loop; whatever restarts the process helps."""
    settings, devnull = new_settings(kafka), os.open(os.devnull, os.O_WRONLY)
    consumer = EventConsumer(
        settings,
        journal=None,
        metrics=Metrics(topics=settings.topics, max_tenants=1, dropped_lines=lambda: 0),
        health=Health(),
        log=LogWriter(devnull),
    )
    consumer._on_error(KafkaError(KafkaError._FENCED, "fenced by another instance", fatal=True))  # noqa: SLF001  # only librdkafka raises it
    with pytest.raises(FatalKafkaError, match="fenced by another instance"):
        consumer.run(threading.Event())
