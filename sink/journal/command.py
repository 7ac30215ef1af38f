"""`crm-events-sink journal`: what the journal stores, whether its sums agree, and its messages as a file."""

import argparse
import csv
import json
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import Final, TextIO

import msgspec

from sink.command_line import EXIT_PROBLEM, EXIT_USAGE
from sink.environment import SettingsError
from sink.journal import journal_reader
from sink.journal.audit import journal_findings, metrics_findings
from sink.journal.model import JournalUnavailableError
from sink.journal.reader import JournalReader, StoredMessage
from sink.journal.settings import journal_settings
from sink.platforms import reader_has_gone
from sink.variables import unknown_variables


def journal_command(options: argparse.Namespace, env: Mapping[str, str], out: TextIO) -> int:
    """Run the command and return its exit code. Raises OSError when nobody reads `out` any more."""
    try:
        for warning in unknown_variables(env):
            print(f"crm-events-sink: {warning}", file=sys.stderr)  # noqa: T201  # a command
        with closing(_opened(env)) as reader:
            if options.task == "show":
                return _show(reader, out)
            if options.task == "verify":
                return _verify(reader, options.metrics, out)
            return _export(reader, options, out)
    except SettingsError as error:
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # a command
        return EXIT_USAGE
    except (JournalUnavailableError, OSError) as error:
        if isinstance(error, OSError) and reader_has_gone(error):
            raise
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # a command
        return EXIT_PROBLEM


def _opened(env: Mapping[str, str]) -> JournalReader:
    reader = journal_reader(journal_settings(env, ""))
    if reader is None:
        raise SettingsError("SINK_JOURNAL is 'none': there is no journal to read")
    return reader


def _show(reader: JournalReader, out: TextIO) -> int:
    totals, stored = reader.totals(), reader.messages_by_topic()
    out.write(f"group {reader.group()}\n\n")
    for partition in reader.partitions():
        next_offset, passed = partition.position.next_offset, partition.passed
        out.write(f"{partition.topic} partition {partition.number}: next offset {next_offset}, {passed} passed\n")
    out.write("\n")
    by_topic: Counter[str] = Counter()
    for (_, topic), count in totals.ingested.items():
        by_topic[topic] += count
    for topic, count in sorted(by_topic.items()):
        tenants = sum(topic == other for _, other in totals.ingested)
        out.write(f"{topic}: {count} events of {tenants} tenants, {stored.get(topic, 0)} messages stored\n")
    out.writelines(f"{topic}: {count} rejected, {reason}\n" for (topic, reason), count in totals.rejected.items())
    return 0


def _verify(reader: JournalReader, url: str | None, out: TextIO) -> int:
    findings = journal_findings(reader)
    if url:
        findings += metrics_findings(reader, url)
    out.writelines(f"{'ok   ' if finding.agrees else 'WRONG'} {finding.text}\n" for finding in findings)
    return 0 if all(finding.agrees for finding in findings) else EXIT_PROBLEM


def _export(reader: JournalReader, options: argparse.Namespace, out: TextIO) -> int:
    rows = (_exported(message) for message in _selected(reader, options.tenant, options.lead))
    if options.format == "jsonl":
        out.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        return 0
    table = csv.writer(out)
    table.writerow(_COLUMNS)
    table.writerows([json.dumps(v, ensure_ascii=False) if isinstance(v, dict) else v for v in r.values()] for r in rows)
    return 0


def _selected(reader: JournalReader, tenant: str | None, lead: str | None) -> Iterator[StoredMessage]:
    for message in reader.messages():
        if tenant is not None and message.tenant_id != tenant:
            continue
        if lead is not None and not _is_of_lead(message, lead):
            continue
        yield message


def _is_of_lead(message: StoredMessage, lead: str) -> bool:
    """Say whether an event's key is TENANT:lead:ID, or its payload has that lead_id."""
    if message.key is not None and message.key.endswith(f":lead:{lead}".encode()):
        return True
    payload = _decoded(message.value)
    return isinstance(payload, dict) and str(payload.get("lead_id")) == lead


_COLUMNS: Final = (
    *("id", "received_at", "topic", "partition", "offset", "tenant_id", "event_type", "reason", "key", "value"),
    "value_base64",
)


def _exported(message: StoredMessage) -> dict[str, object]:
    """Return the columns. A value that is not a JSON object is exported as base64, so that no byte is lost."""
    payload = _decoded(message.value)
    is_object = isinstance(payload, dict)
    values = (
        *(message.id, message.received_at.isoformat(), message.topic, message.partition, message.offset),
        *(message.tenant_id, message.event_type, message.reason),
        None if message.key is None else message.key.decode(errors="backslashreplace"),
        payload if is_object else None,
        None if is_object or message.value is None else b64encode(message.value).decode(),
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _decoded(value: bytes | None) -> object:
    try:
        return msgspec.json.decode(value or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
