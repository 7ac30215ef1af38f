"""Every event is counted exactly once, whatever is killed and joins the group: the claim, and its negative controls."""

from pathlib import Path

import pytest

from tests.sink.broken_sink import ORDERS
from tests.sink.chaos import Chaos, broken
from tests.sink.journals import JournalAddress, sqlite_address
from tests.sink.postgres_server import PostgresServer


def test_killed_again_and_again(tmp_path: Path) -> None:
    """50 times kill -9 under load, while other members join: nothing missing, nothing twice, no total decreases."""
    result = Chaos(journal=sqlite_address(tmp_path), kills=50).run()
    assert result.exact, result
    assert result.kills == 50
    assert result.rebalances > 0


@pytest.mark.parametrize("variant", ORDERS)
def test_two_transactions_are_caught(tmp_path: Path, variant: str) -> None:
    """The audit of the same run finds a sink that writes counts and positions in two transactions, in either order.

    One kill is enough: the broken sink stops between the two and waits for it.
    """
    stop_file = tmp_path / "stop"
    command = broken(variant, stop_file)
    chaos = Chaos(
        journal=sqlite_address(tmp_path), kills=1, command=command, stop_file=stop_file, rows=False, until_wrong=True
    )
    result = chaos.run()
    assert result.kills == 1
    assert (result.missing > 0) == (variant == "commit-then-write"), result
    assert (result.duplicate > 0) == (variant == "write-then-commit"), result


def test_two_sinks_killed_in_turn(postgres: PostgresServer) -> None:
    """Two sinks share a database and a group, and either is killed: their partitions move, and all counts are right."""
    result = Chaos(journal=JournalAddress(postgres.new_database()), kills=10, sinks=2).run()
    assert result.exact, result
