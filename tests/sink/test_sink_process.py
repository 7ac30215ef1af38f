"""The packaged service from outside: what it counts, writes, serves, and how it starts and ends."""

import re
import signal
import socket

import pytest

from tests.sink.mock_kafka import MockKafka
from tests.sink.running import committed_offsets, load
from tests.sink.sink_process import JOBS, LEADS, SCRAPE, SinkProcess, event, wait_until

GROUP_AUTHORIZATION_FAILED = 30
EVENT_LINE = re.compile(r"\[\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}] Received (\S+) for tenant (\S+)")


def test_runbook_events(kafka: MockKafka, sink: SinkProcess) -> None:
    """Five leads and two jobs give the counters, the start-up line and the log lines that the runbook shows."""
    kafka.create(LEADS, 4)
    kafka.create(JOBS, 4)
    sink.start_ready()
    kafka.send(LEADS, [event("acme")] * 5)
    kafka.send(JOBS, [event("acme", "job.created")] * 2)
    wait_until(lambda: sink.samples().counted() == 7)
    assert sink.samples().ingested() == {("acme", LEADS): 5.0, ("acme", JOBS): 2.0}
    wait_until(lambda: len([line for line in sink.lines() if EVENT_LINE.fullmatch(line)]) == 7)
    assert (
        "CRM Events Sink started. Listening to topics: ['apexflow.leads.created', 'apexflow.jobs.created']"
        in sink.lines()
    )
    assert sink.status("/health") == sink.status("/livez") == 200


def test_zero_first(kafka: MockKafka, sink: SinkProcess) -> None:
    """A scrape sees a new series at 0 and then its value; a reader without the header sees the truth at once."""
    kafka.create(LEADS, 4)
    sink.start_ready()
    kafka.send(LEADS, [event("acme")] * 5)
    wait_until(lambda: sink.samples().counted() == 5)
    seen = [sink.samples(headers).ingested()["acme", LEADS] for headers in (None, SCRAPE, None, SCRAPE)]
    assert seen == [5.0, 0.0, 5.0, 5.0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop_under_load_and_restart(kafka: MockKafka, sink: SinkProcess, number: int) -> None:
    """A signal while events flow, then a new process: it counts what the first one has not committed, and only that.

    That the first one has committed what it has counted: test_stop_under_load_commits_what_was_counted.
    """
    kafka.create(LEADS, 4)
    kafka.create(JOBS, 1)
    sink.start_ready()
    with load(kafka, LEADS) as sent:
        wait_until(lambda: sink.samples().counted() > 0)
        assert sink.stop(number) == 0
        committed = committed_offsets(kafka, LEADS, 4)
        lines = [line for line in sink.lines() if EVENT_LINE.fullmatch(line)]
        assert 0 < len(lines) <= committed
    sink.start_ready()
    wait_until(lambda: sink.samples().passed() == sum(sent))
    assert sink.samples().counted() == sum(sent) - committed


def test_kafka_goes_and_comes_back(kafka: MockKafka, sink: SinkProcess) -> None:
    """Without Kafka the process lives, is not ready and says so; when Kafka is back it continues by itself."""
    kafka.create(LEADS, 2)
    kafka.create(JOBS, 2)
    sink.start_ready()
    kafka.down()
    wait_until(lambda: sink.status("/readyz") == 503)
    assert sink.status("/health") == 503
    assert sink.status("/livez") == 200
    kafka.up()
    kafka.send(LEADS, [event("acme")] * 3)
    wait_until(lambda: sink.samples().counted() >= 3)
    wait_until(lambda: sink.status("/health") == 200)
    wait_until(lambda: any("Kafka error" in line for line in sink.lines()))


def test_stop_without_kafka(kafka: MockKafka, sink: SinkProcess) -> None:
    """Kafka is away at the stop: the sink does not wait for the session to end, and logs what is not committed.

    Kafka has refused the commits before, so that none of them comes just in time.
    """
    kafka.create(LEADS, 1)
    sink.env |= {"TOPICS": LEADS, "KAFKA_SESSION_TIMEOUT_MS": "60000"}
    kafka.refuse_commits(GROUP_AUTHORIZATION_FAILED, 1_000)
    sink.start_ready()
    kafka.send(LEADS, [event("acme")] * 3)
    wait_until(lambda: sink.samples().counted() == 3)
    kafka.down()
    assert sink.stop() == 1
    assert any("up to 3 events may be counted again" in line for line in sink.lines())
    assert "Kafka has not answered the last commit" in sink.stderr()


def test_topic_made_after_the_start(kafka: MockKafka, sink: SinkProcess) -> None:
    """A topic that is absent at the start is read from its first event as soon as it exists."""
    kafka.create(JOBS, 1)
    sink.start_ready()
    kafka.send(LEADS, [event("acme")] * 4)
    wait_until(lambda: sink.samples().ingested() == {("acme", LEADS): 4.0})


def test_blocked_stdout(kafka: MockKafka, sink: SinkProcess) -> None:
    """Nobody reads the log: everything is counted nevertheless, lines are dropped and counted, SIGTERM works."""
    kafka.create(LEADS, 6)
    for partition in range(6):  # 24 MB of lines; twice 8 MiB wait in the sink; the mock broker keeps 5 MiB a partition
        kafka.send(LEADS, [event("acme", "x" * 2_000)] * 2_000, partition=partition)
    sink.start(blocked_stdout=True)
    wait_until(lambda: sink.status("/livez") == 200 and sink.samples().counted() == 12_000)
    wait_until(lambda: sink.samples().by_name["crm_events_log_lines_dropped_total"][()] > 0)
    assert sink.stop() == 0


def test_second_signal(kafka: MockKafka, sink: SinkProcess) -> None:
    """A second signal ends the process at once, with 128 and its number.

    The first alone would lead to exit code 1, after a second of waiting for a commit: Kafka refuses all of them.
    """
    kafka.create(LEADS, 1)
    kafka.refuse_commits(GROUP_AUTHORIZATION_FAILED, 1_000)
    sink.start_ready()
    assert sink.process is not None
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):  # both there when it goes on
        sink.process.send_signal(number)
    assert sink.ended() in {130, 143}


@pytest.mark.parametrize("variable", ["PROM_PORT", "HTTP_PORT"])
def test_port_taken(sink: SinkProcess, variable: str) -> None:
    """A port in use is one line that names it, and exit code 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        sink.env[variable] = str(taken.getsockname()[1])
        sink.start()
        assert sink.ended() == 1
    assert sink.stderr().startswith(f"crm-events-sink: {variable}: cannot listen on 127.0.0.1 port ")
    assert sink.stderr().count("\n") <= 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [("PROM_PORT", "many"), ("KAFKA_SECURITY_PROTOCOL", "carrier-pigeon"), ("KAFKA_NO_SUCH_THING", "1")],
)
def test_wrong_setting(sink: SinkProcess, variable: str, value: str) -> None:
    """A wrong setting is one line that names the variable, and exit code 4."""
    sink.env[variable] = value
    sink.start()
    assert sink.ended() == 4
    said = sink.stderr()
    assert variable in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, ""),
        ({"KAFKA_LOG_LEVEL": "6"}, "Disconnected"),
        ({"KAFKA_DEBUG": "broker"}, "Broker changed state"),
        ({"KAFKA_DEBUG": "broker", "KAFKA_LOG_LEVEL": "7"}, "Broker changed state"),
    ],
    ids=["silent", "level", "debug", "both"],
)
def test_librdkafka_writes_to_stderr(kafka: MockKafka, sink: SinkProcess, env: dict[str, str], said: str) -> None:
    """Nothing of its own, unless an operator who looks for something asks for it; never among the sink's lines."""
    kafka.create(LEADS, 1)
    sink.env |= {"TOPICS": LEADS, **env}
    sink.start_ready()
    kafka.down()
    wait_until(lambda: sink.status("/readyz") == 503)
    sink.stop()
    assert not any("rdkafka#" in line or "%7|" in line for line in sink.lines())
    stderr = sink.stderr()
    assert said in stderr
    assert ("%" in stderr) == bool(env)


def test_secrets_stay_secret(sink: SinkProcess) -> None:
    """A broker that does not take the login, with librdkafka's own trace on: no page and no line shows the password."""
    sink.env |= {
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "sink",
        "KAFKA_SASL_PASSWORD": "never-shown",
        "KAFKA_DEBUG": "security,broker",
        "SINK_API_TOKEN": "never-shown-either",
    }
    sink.start()
    wait_until(lambda: any("Kafka error" in line for line in sink.lines()))
    pages = [sink.page(path)[1] for path in ("/health", "/livez", "/readyz", "/events/latest")]
    assert sink.stop() in {0, 1}
    trace = sink.stderr()
    assert "sasl" in trace.lower()  # it does log
    assert "never-shown" not in "".join([*sink.lines(), *pages, trace])
