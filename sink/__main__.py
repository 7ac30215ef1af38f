"""The CRM Events Sink: counts domain events from Kafka and shows the counts to Prometheus.

Exit codes: 0 stopped as asked, 1 a named problem, 4 settings, 130 or 143 a second SIGINT or SIGTERM. Kafka away at the
stop is a problem as well: nobody has taken the last commit, and the log says what follows.
"""

import gc
import os
import select
import signal
import sys
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from http import HTTPStatus
from typing import Final

from confluent_kafka import KafkaException, libversion

from sink import VERSION
from sink.consumer import EventConsumer, FatalKafkaError
from sink.environment import SettingsError
from sink.event_pages import event_routes
from sink.exposition import Format
from sink.gauges import Build
from sink.health import Pulse, health_routes
from sink.journal import new_journal
from sink.journal.command import journal_command
from sink.journal.model import Journal, JournalAwayError, JournalRefusedError
from sink.log_lines import LogLines
from sink.membership import KafkaAwayError
from sink.metrics import Metrics
from sink.pages import Page, PageServer, Request, Route
from sink.settings import Settings, load_settings

EXIT_PROBLEM: Final = 1
EXIT_SETTINGS: Final = 4
_LAST_LINES_S: Final = 0.5
_STOP_WITHIN_S: Final = 4.0


def main() -> int:
    """Run the sink with the settings of the environment until SIGTERM or SIGINT; or `journal ...`, and end."""
    if sys.argv[1:2] == ["journal"]:
        return journal_command(sys.argv[2:], os.environ)
    try:
        settings = load_settings(os.environ)
        return serve(settings, _stop_on_signals(), new_journal(settings.journal))
    except SettingsError as error:
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # the log does not exist yet
        return EXIT_SETTINGS
    except (OSError, FatalKafkaError, JournalRefusedError) as error:
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # the last words, also if stdout is blocked
        return EXIT_PROBLEM
    except KafkaAwayError as error:
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # the last words, also if stdout is blocked
        # Now, while the error's frames still hold the client: its destructor waits as long, and holds the interpreter.
        os._exit(EXIT_PROBLEM)


def serve(settings: Settings, stop: threading.Event, journal: Journal | None) -> int:
    """Serve until `stop` is set, and close the journal.

    Raises SettingsError, OSError for a port, FatalKafkaError, KafkaAwayError, JournalRefusedError.
    """
    log, pulse = LogLines(sys.stdout.fileno()), Pulse()
    metrics = Metrics(
        topics=settings.topics,
        max_tenants=settings.max_tenants,
        dropped_lines=lambda: log.dropped,
        build=_build(settings),
    )
    consumer = _consumer(settings, journal, metrics, pulse, log)
    with ExitStack() as open_things:
        open_things.callback(log.close, _LAST_LINES_S)
        if journal is not None:
            open_things.callback(journal.close)
        _open(journal, metrics, log)
        for variable, port, routes in (
            ("PROM_PORT", settings.prom_port, {"GET /metrics": _metrics_route(metrics)}),
            ("HTTP_PORT", settings.http_port, {**health_routes(pulse), **event_routes(settings)}),
        ):
            open_things.callback(_listen(variable, settings.bind, port, routes).server_close)
        _spare_the_collector()
        consumer.run(stop)
    return 0


def _spare_the_collector() -> None:
    """Look for garbage in cycles seldom: 7 % of the loop's time went into looking at messages about to be freed anyway.

    The loop makes no cycles. What the pages make is still found, after 50,000 objects instead of 700.
    """
    gc.freeze()
    gc.set_threshold(50_000)


def _build(settings: Settings) -> Build:
    return Build(
        version=VERSION,
        librdkafka=libversion()[0],
        journal=settings.journal.kind,
        keeps_rows=settings.journal.kind != "none" and settings.journal.keep_rows,
    )


def _open(journal: Journal | None, metrics: Metrics, log: LogLines) -> None:
    """Open the journal, before anybody can read a page: a total must never be seen to go back.

    A journal that other processes write as well may be away, and is then waited for. Raises JournalRefusedError.
    """
    if journal is None:
        log.say("Journal: none. Kafka's commits are the only memory: each event is counted at least once")
        return
    try:
        journal.open()
        if journal.is_total:
            metrics.restore(journal.totals())
    except JournalAwayError as error:
        if journal.is_total:
            raise JournalRefusedError(str(error)) from None
        log.say(f"Journal: {error}")
    kept = "counts and messages" if journal.keeps_rows else "counts"
    log.say(f"Journal: {journal.name} keeps {kept}. Each event is counted exactly once")


def _consumer(
    settings: Settings, journal: Journal | None, metrics: Metrics, pulse: Pulse, log: LogLines
) -> EventConsumer:
    try:
        return EventConsumer(settings, journal=journal, metrics=metrics, pulse=pulse, log=log)
    except KafkaException as error:
        said = error.args[0].str()
        named = [key for key in settings.kafka if key in said]
        variables = ", ".join(f"KAFKA_{key.upper().replace('.', '_')}" for key in named) or "A KAFKA_ variable"
        raise SettingsError(f"{variables}: allowed is what librdkafka knows, which says: {said}") from None


def _listen(variable: str, bind: str, port: int, routes: Mapping[str, Route]) -> PageServer:
    try:
        return PageServer(bind, port, routes)
    except OSError as error:
        raise OSError(f"{variable}: cannot listen on {bind} port {port}: {error.strerror}") from None


def _metrics_route(metrics: Metrics) -> Route:
    def page(request: Request) -> Page:
        page_format = Format.accepted(request.headers.get("Accept", ""))
        scrape = "X-Prometheus-Scrape-Timeout-Seconds" in request.headers
        shown = metrics.page(scrape=scrape, page_format=page_format)
        return Page(
            status=HTTPStatus.OK,
            content_type=page_format.value,
            body=shown.body,
            sent=lambda: metrics.served(shown),
        )

    return page


def _stop_on_signals() -> threading.Event:
    """Return a flag that the first SIGTERM or SIGINT sets; a second one ends the process at once.

    So does the end of the patience: Docker would kill after 10 s. A thread does all this and not a handler, because
    Python runs handlers in the main thread, which may be inside librdkafka.
    """
    stop = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)

    def watch() -> None:
        os.read(reader, 1)
        stop.set()
        second, _, _ = select.select([reader], [], [], _STOP_WITHIN_S)
        os._exit(128 + os.read(reader, 1)[0] if second else EXIT_PROBLEM)

    threading.Thread(target=watch, name="signals", daemon=True).start()
    return stop


if __name__ == "__main__":
    sys.exit(main())
