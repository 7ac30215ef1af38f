"""`crm-events-sink journal`: what the journal holds, whether its sums are right, and its messages as a file.

It reads the same variables as the service, and never changes the journal. Exit codes: 0 as wished, 1 a named problem
(for `verify`: a sum is wrong), 4 settings or usage.
"""

import argparse
import csv
import json
import sys
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Final, NoReturn, TextIO

import msgspec

from sink.environment import SettingsError
from sink.journal import journal_reader
from sink.journal.audit import against_itself, against_page
from sink.journal.model import JournalAwayError
from sink.journal.reading import Kept, Reader
from sink.journal.settings import journal_settings

_EXIT_PROBLEM: Final = 1
_EXIT_USAGE: Final = 4


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_EXIT_USAGE, f"{self.prog}: {message}\n")


def journal_command(arguments: Sequence[str], env: Mapping[str, str], out: TextIO | None = None) -> int:
    """Run the command and return its exit code."""
    options, out = _options(arguments), out or sys.stdout
    try:
        with closing(_opened(env)) as reader:
            if options.task == "show":
                return _show(reader, out)
            if options.task == "verify":
                return _verify(reader, options.metrics, out)
            return _export(reader, options, out)
    except SettingsError as error:
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # a command
        return _EXIT_USAGE
    except (JournalAwayError, OSError) as error:
        print(f"crm-events-sink: {error}", file=sys.stderr)  # noqa: T201  # a command
        return _EXIT_PROBLEM


def _opened(env: Mapping[str, str]) -> Reader:
    reader = journal_reader(journal_settings(env, ""))
    if reader is None:
        raise SettingsError("SINK_JOURNAL is 'none': there is no journal")
    return reader


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _Parser(prog="crm-events-sink journal", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    tasks.add_parser("show", help="positions, counts and kept messages")
    verify = tasks.add_parser("verify", help="whether the sums are right")
    verify.add_argument("--metrics", metavar="URL", help="compare with the sink's page: http://127.0.0.1:9105/metrics")
    export = tasks.add_parser("export", help="kept messages, oldest first")
    export.add_argument("--format", choices=("jsonl", "csv"), default="jsonl")
    export.add_argument("--lead", metavar="ID", help="only the events of this lead, and of its jobs")
    export.add_argument("--tenant", metavar="ID", help="only this tenant's events")
    return parser.parse_args(arguments)


def _show(reader: Reader, out: TextIO) -> int:
    totals, kept = reader.totals(), reader.kept_by_topic()
    out.write(f"group {reader.group()}\n\n")
    for place in reader.places():
        topic, number = place.partition
        out.write(f"{topic} partition {number}: next offset {place.position.next_offset}, {place.passed} passed\n")
    out.write("\n")
    by_topic: Counter[str] = Counter()
    for (_, topic), count in totals.ingested.items():
        by_topic[topic] += count
    for topic, count in sorted(by_topic.items()):
        tenants = sum(topic == other for _, other in totals.ingested)
        out.write(f"{topic}: {count} events of {tenants} tenants, {kept.get(topic, 0)} messages kept\n")
    out.writelines(f"{topic}: {count} rejected, {reason}\n" for (topic, reason), count in totals.rejected.items())
    return 0


def _verify(reader: Reader, url: str | None, out: TextIO) -> int:
    findings = against_itself(reader)
    if url:
        findings += against_page(reader, url)
    out.writelines(f"{'ok   ' if finding.right else 'WRONG'} {finding.text}\n" for finding in findings)
    return 0 if all(finding.right for finding in findings) else _EXIT_PROBLEM


def _export(reader: Reader, options: argparse.Namespace, out: TextIO) -> int:
    rows = (_exported(kept) for kept in _chosen(reader, options.tenant, options.lead))
    if options.format == "jsonl":
        out.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
        return 0
    table = csv.writer(out)
    table.writerow(_COLUMNS)
    table.writerows([json.dumps(v, ensure_ascii=False) if isinstance(v, dict) else v for v in r.values()] for r in rows)
    return 0


def _chosen(reader: Reader, tenant: str | None, lead: str | None) -> Iterator[Kept]:
    for kept in reader.messages():
        if tenant is not None and kept.tenant_id != tenant:
            continue
        if lead is not None and not _is_of_lead(kept, lead):
            continue
        yield kept


def _is_of_lead(kept: Kept, lead: str) -> bool:
    """Say whether an event's key is TENANT:lead:ID, or its payload has that lead_id."""
    if kept.key is not None and kept.key.endswith(f":lead:{lead}".encode()):
        return True
    payload = _decoded(kept.value)
    return isinstance(payload, dict) and str(payload.get("lead_id")) == lead


_COLUMNS: Final = (
    *("id", "received_at", "topic", "partition", "offset", "tenant_id", "event_type", "reason", "key", "value"),
    "value_base64",
)


def _exported(kept: Kept) -> dict[str, object]:
    """Return the columns. A value that is no JSON object is given in base64, so that no byte is lost."""
    payload = _decoded(kept.value)
    is_object = isinstance(payload, dict)
    values = (
        *(kept.id, kept.received_at.isoformat(), kept.topic, kept.partition, kept.offset),
        *(kept.tenant_id, kept.event_type, kept.reason),
        None if kept.key is None else kept.key.decode(errors="backslashreplace"),
        payload if is_object else None,
        None if is_object or kept.value is None else b64encode(kept.value).decode(),
    )
    return dict(zip(_COLUMNS, values, strict=True))


def _decoded(value: bytes | None) -> object:
    try:
        return msgspec.json.decode(value or b"null")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
