"""The CRM Events Sink: counts domain events from Kafka and serves the counts to Prometheus.

Exit codes: 0 stopped by a signal, or done; 1 a problem, which stderr names; 4 a wrong argument or variable; 130 or 143
ended by a second SIGINT or SIGTERM. A last commit that Kafka does not answer is a problem, too: the log says what it
means for the counts.
"""

import gc
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import Final

from confluent_kafka import KafkaException, libversion

from sink import VERSION
from sink.command_line import EXIT_PROBLEM, EXIT_USAGE, parsed
from sink.consumer import EventConsumer, FatalKafkaError
from sink.environment import SettingsError
from sink.event_api import event_routes
from sink.exposition import Format
from sink.health import Health, health_routes
from sink.http_server import HttpServer, Request, Response, Route
from sink.journal import new_journal
from sink.journal.command import journal_command
from sink.journal.model import Journal, JournalUnavailableError, JournalUnusableError
from sink.log_writer import LogWriter
from sink.membership import KafkaUnavailableError
from sink.metrics import Metrics
from sink.platforms import STOP_SIGNALS, reader_has_gone
from sink.settings import Settings, load_settings
from sink.unlabelled_metrics import BuildInfo

_FLUSH_LOG_S: Final = 0.5
_STOP_WITHIN_S: Final = 4.0


def main() -> int:
    """Run the service until a signal stops it, or the command of the command line; return the exit code."""
    try:
        try:
            options = parsed(sys.argv[1:])
            return journal_command(options, os.environ, sys.stdout) if options.command else _run_service()
        finally:
            sys.stdout.flush()
    except OSError as error:
        if not reader_has_gone(error):
            raise
        # At the end Python flushes stdout again, and would show a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PROBLEM


def _run_service() -> int:
    try:
        settings = load_settings(os.environ)
        return serve(settings, _stop_on_signals(), new_journal(settings.journal))
    except SettingsError as error:
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # the log does not exist yet
        return EXIT_USAGE
    except (OSError, FatalKafkaError, JournalUnusableError) as error:
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # stdout may be blocked
        return EXIT_PROBLEM
    except KafkaUnavailableError as error:
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # stdout may be blocked
        # Here, while the error's frames still hold the client: its destructor would block the interpreter for as long.
        os._exit(EXIT_PROBLEM)


def serve(settings: Settings, stop: threading.Event, journal: Journal | None) -> int:
    """Run the service until `stop` is set, and close the journal.

    Raises SettingsError, OSError for a port, FatalKafkaError, KafkaUnavailableError, JournalUnusableError.
    """
    log, health = LogWriter(sys.stdout.fileno()), Health()
    metrics = Metrics(
        topics=settings.topics,
        max_tenants=settings.max_tenants,
        dropped_lines=lambda: log.dropped,
        build=_build_info(settings),
    )
    consumer = _consumer(settings, journal, metrics, health, log)
    with ExitStack() as resources:
        resources.callback(log.close, _FLUSH_LOG_S)
        for warning in settings.warnings:
            log.write(warning)
        if journal is not None:
            resources.callback(journal.close)
        _open(journal, metrics, log)
        for variable, port, routes in (
            ("PROM_PORT", settings.prom_port, {"GET /metrics": _metrics_route(metrics)}),
            ("HTTP_PORT", settings.http_port, {**health_routes(health), **event_routes(settings)}),
        ):
            resources.callback(_listen(variable, settings.bind, port, routes).server_close)
        tune_gc()
        consumer.run(stop)
    return 0


def tune_gc() -> None:
    """Run the cyclic garbage collector seldom: it took 7 % of the loop's time, for messages that are freed anyway.

    The loop creates no cycles. Those of the HTTP server are still collected, after 50,000 objects instead of 700.
    """
    gc.freeze()
    gc.set_threshold(50_000)


def _build_info(settings: Settings) -> BuildInfo:
    return BuildInfo(
        version=VERSION,
        librdkafka=libversion()[0],
        journal=settings.journal.kind,
        stores_messages=settings.journal.kind != "none" and settings.journal.stores_messages,
    )


def _open(journal: Journal | None, metrics: Metrics, log: LogWriter) -> None:
    """Open the journal before the ports: a total on /metrics must never go back.

    If other processes write the journal, too, it need not be available yet. Raises JournalUnusableError.
    """
    if journal is None:
        log.write("Journal: none. Only Kafka's commits are stored: each event is counted at least once")
        return
    try:
        journal.open()
        if journal.restores_totals:
            metrics.restore(journal.totals())
    except JournalUnavailableError as error:
        if journal.restores_totals:
            raise JournalUnusableError(str(error)) from None
        log.write(f"Journal: {error}")
    stored = "counts and messages" if journal.stores_messages else "counts"
    log.write(f"Journal: {journal.name} stores {stored}. Each event is counted exactly once")


def _consumer(
    settings: Settings, journal: Journal | None, metrics: Metrics, health: Health, log: LogWriter
) -> EventConsumer:
    try:
        return EventConsumer(settings, journal=journal, metrics=metrics, health=health, log=log)
    except KafkaException as error:
        text = error.args[0].str()
        named = [key for key in settings.kafka if key in text]
        variables = ", ".join(f"KAFKA_{key.upper().replace('.', '_')}" for key in named) or "A KAFKA_ variable"
        raise SettingsError(f"{variables}: librdkafka refuses it: {text}") from None


def _listen(variable: str, bind: str, port: int, routes: Mapping[str, Route]) -> HttpServer:
    try:
        return HttpServer(bind, port, routes)
    except OSError as error:
        raise OSError(f"{variable}: cannot listen on {bind} port {port}: {error.strerror}") from None


def _metrics_route(metrics: Metrics) -> Route:
    def respond(request: Request) -> Response:
        page_format = Format.accepted(request.headers.get("Accept", ""))
        is_scrape = "X-Prometheus-Scrape-Timeout-Seconds" in request.headers
        page = metrics.page(is_scrape=is_scrape, page_format=page_format)
        return Response(
            status=HTTPStatus.OK,
            content_type=page_format.value,
            body=page.body,
            on_sent=lambda: metrics.mark_served(page),
        )

    return respond


def _stop_on_signals() -> threading.Event:
    """Return an event that the first SIGTERM or SIGINT sets. A second one ends the process at once.

    So does a stop that takes longer than _STOP_WITHIN_S: Docker would kill the process after 10 s. This is a thread,
    not a handler: Python runs handlers in the main thread, which may be inside librdkafka.
    """
    stop = threading.Event()
    reader, writer = socket.socketpair()  # Windows writes the signal to nothing else
    writer.settimeout(0)
    signal.set_wakeup_fd(writer.fileno())
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: None)

    def watch() -> None:
        with writer:  # it stays open as long as this thread waits for it
            reader.recv(1)
            stop.set()
            second, _, _ = select.select([reader], [], [], _STOP_WITHIN_S)
            os._exit(128 + reader.recv(1)[0] if second else EXIT_PROBLEM)

    threading.Thread(target=watch, name="signals", daemon=True).start()
    return stop


if __name__ == "__main__":
    sys.exit(main())
