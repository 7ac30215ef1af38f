"""The smallest sets of ACLs of docs/PERMISSIONS.md, on Apache Kafka: they do, and one less is named."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from runbook.diagnosis.topics import read_topics
from runbook.errors import AnswerError, RunbookError, UnreachableError
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.settings import KafkaSettings
from tests.command_line import CHECKOUT
from tests.permissions.documented import DOCUMENT, OF_APACHE_KAFKA, rows
from tests.permissions.kafka_acls import LISTENER, PASSWORD, Acls, Rule, guarded_kafka
from tests.sink.real_kafka import RealKafka
from tests.sink.sink_process import SinkProcess, event, wait_until

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]

LEADS, JOBS, DEAD = "apexflow.leads.created", "apexflow.jobs.created", "crm-events-sink.dlq"
GROUP: Final = "crm-events-sink"
TOPICS: Final = (LEADS, JOBS)
BETWEEN: Final = {(LEADS, 0): (0, 3), (JOBS, 0): (0, 1)}
_ROW: Final = re.compile(r"^\| `(\w+)` on (topic|group) `([\w.-]+)` \| ([^|]*) \|", re.MULTILINE)
_SENT: Final = re.compile(r"Sent (\w+)Request \(v")

Ask = Callable[[Kafka], object]


def documented(user: str) -> list[Rule]:
    """Return the ACLs that the document gives to a user of Kafka: a command, or the sink."""
    found = _ROW.findall(DOCUMENT.read_text(encoding="utf-8"))
    return [(operation, kind, name) for operation, kind, name, users in found if user in users.split(", ")]


@pytest.fixture(scope="module")
def kafka() -> Iterator[RealKafka]:
    """A broker with three leads, one job and a dead-letter topic."""
    try:
        broker = guarded_kafka()
    except RunbookError as error:
        pytest.skip(f"no Kafka: {error.seen}")
    try:
        for topic in (*TOPICS, DEAD):
            broker.create(topic, 1)
        broker.send(LEADS, [event("acme"), event("acme"), b"no event"])
        broker.send(JOBS, [event("acme", "job.created")])
        wait_until(lambda: knows_commits(broker.bootstrap), 60)
        yield broker
    finally:
        broker.close()


def knows_commits(bootstrap: str) -> bool:
    """Say whether the group has a coordinator: a new broker makes the topic of the commits when it is first asked."""
    with Kafka(KafkaSettings(bootstrap=bootstrap), 5) as kafka:
        try:
            return bool(kafka.committed(TOPICS))
        except UnreachableError:
            return False


@pytest.fixture
def settings(kafka: RealKafka) -> KafkaSettings:
    return KafkaSettings(
        bootstrap=kafka.secured[LISTENER],
        security_protocol="SASL_PLAINTEXT",
        username="runbook",
        password=SecretStr(PASSWORD),
    )


@pytest.fixture
def acls(kafka: RealKafka) -> Acls:
    return Acls(kafka.bootstrap, "runbook")


ASKED: Final[dict[str, Ask]] = {
    "traffic": lambda one: one.end_offsets(TOPICS),
    "verify": lambda one: (one.start_offsets(TOPICS), one.end_offsets(TOPICS), one.events(BETWEEN, deadline_s=20)),
    "troubleshoot": lambda one: (read_topics(one, KafkaSettings(), 20, {}), one.group()),
}
"""Command -> all that it asks of Kafka."""


@pytest.mark.parametrize("command", ASKED)
def test_documented_acls_are_enough(settings: KafkaSettings, acls: Acls, command: str) -> None:
    assert documented(command)
    with acls.only(documented(command)), Kafka(settings, 20) as kafka:
        assert ASKED[command](kafka)


@pytest.mark.parametrize(
    ("command", "less", "needed"),
    [
        pytest.param(
            command,
            rule,
            f"{rule[0] if rule[1] == 'group' else 'Read'} on {rule[1]} {rule[2]}",
            id=f"{command}-{rule[2]}",
        )
        for command in ASKED
        for rule in documented(command)
    ],
)
def test_one_acl_less_is_named(settings: KafkaSettings, acls: Acls, command: str, less: Rule, needed: str) -> None:
    """A broker that says no is not down, and a topic that may not be seen is not an empty one."""
    rules = [rule for rule in documented(command) if rule != less]

    with acls.only(rules), Kafka(settings, 5) as kafka, pytest.raises(AnswerError) as caught:
        ASKED[command](kafka)

    operation, _, kind, name = needed.split()
    assert (caught.value.code, caught.value.where) == ("forbidden", f"Kafka at {settings.bootstrap}")
    assert caught.value.seen.startswith("Kafka does not allow this to runbook")
    assert f"the ACL {needed}" in caught.value.seen
    assert f"--add --allow-principal User:runbook --operation {operation} --{kind} {name}" in caught.value.fix


def test_topic_that_is_not_there_is_still_told_from_one_that_may_not_be_seen(
    settings: KafkaSettings, acls: Acls
) -> None:
    with acls.only([("Describe", "topic", "nobody-made-it")]), Kafka(settings, 20) as kafka:
        assert kafka.end_offsets(["nobody-made-it"]) == {}
        assert "nobody-made-it" not in kafka.metadata().topics


def test_wrong_password_is_no_broker_that_is_down(settings: KafkaSettings) -> None:
    wrong = settings.model_copy(update={"password": SecretStr("never-shown")})

    with Kafka(wrong, 5) as kafka, pytest.raises(AnswerError) as caught:
        kafka.metadata()

    assert caught.value.code == "unauthorized"
    assert caught.value.seen.startswith("Kafka refused the login of runbook")
    assert "RUNBOOK_KAFKA_PASSWORD" in caught.value.fix
    assert "never-shown" not in str(caught.value)


PROGRAM: Final = """
import sys
from pydantic import SecretStr
from runbook.systems.kafka.client import Kafka
from runbook.systems.kafka.settings import KafkaSettings
from tests.permissions.test_kafka_acls import ASKED
for line in sys.stdin:
    with Kafka(KafkaSettings(bootstrap=line.strip(), options={"debug": SecretStr("protocol")}), 20) as kafka:
        ASKED["troubleshoot"](kafka)
"""


def test_document_lists_what_apache_kafka_is_asked(kafka: RealKafka) -> None:
    """The mock cluster of the local stack cannot describe a group, so this request is only sent here."""
    done = subprocess.run(
        (sys.executable, "-c", PROGRAM), input=kafka.bootstrap, cwd=CHECKOUT, capture_output=True, text=True, check=True
    )

    listed = {row.request for row in rows() if row.system == "Kafka" and "troubleshoot" in row.commands}
    assert set(_SENT.findall(done.stderr)) == listed
    assert {request for _, request in OF_APACHE_KAFKA} <= listed


class GuardedSink:
    """Starts the sink as a user of Kafka who has some ACLs; each in a group of its own that reads from the start."""

    def __init__(self, kafka: RealKafka, folder: Path) -> None:
        self._acls = Acls(kafka.bootstrap, "sink")
        self.process = SinkProcess(kafka.secured[LISTENER], folder / "stdout")
        self.process.env |= {
            "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
            "KAFKA_SASL_MECHANISM": "PLAIN",
            "KAFKA_SASL_USERNAME": "sink",
            "KAFKA_SASL_PASSWORD": PASSWORD,
            "GROUP_ID": folder.name,
        }
        self.rules = [
            (operation, kind, folder.name if kind == "group" else name) for operation, kind, name in documented("sink")
        ]

    def until(self, rules: list[Rule], reached: Callable[[], bool]) -> None:
        """Run it with these ACLs until something is reached, and end it."""
        with self._acls.only(rules):
            self.process.start()
            try:
                wait_until(reached, 60)
            finally:
                self.process.stop()

    def says(self, text: str) -> bool:
        return any(text in line for line in self.process.lines()) or text in self.process.page("/readyz")[1]


@pytest.fixture
def guarded_sink(kafka: RealKafka, tmp_path: Path) -> Iterator[GuardedSink]:
    sink = GuardedSink(kafka, tmp_path)
    yield sink
    sink.process.kill()


def test_documented_acls_of_the_sink_are_enough(guarded_sink: GuardedSink) -> None:
    """Everything is counted, and the dead letter is acknowledged before its offset is passed."""
    guarded_sink.until(guarded_sink.rules, lambda: passed(guarded_sink.process) == 4)

    assert not guarded_sink.says("the sink needs the ACL")


@pytest.mark.parametrize("number", range(len(documented("sink"))))
def test_one_acl_less_of_the_sink_is_named(guarded_sink: GuardedSink, number: int) -> None:
    operation, kind, name = less = guarded_sink.rules[number]
    rules = [rule for rule in guarded_sink.rules if rule != less]

    guarded_sink.until(rules, lambda: guarded_sink.says(f"the sink needs the ACL {operation} on {kind}"))

    assert guarded_sink.says(f"{kind} {name}")


def passed(sink: SinkProcess) -> float:
    return sink.samples().passed() if sink.status("/livez") else 0
