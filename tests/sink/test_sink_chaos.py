"""Every event is counted exactly once, whatever is killed and whoever joins: the claim, and its negative controls."""

from pathlib import Path

import pytest
from broken_sink import ORDERS
from chaos import Chaos, broken
from journals import JournalAddress, sqlite_address
from postgres_server import PostgresServer


def test_killed_again_and_again(tmp_path: Path) -> None:
    """50 times kill -9 under load, with strangers in the group: nothing missing, nothing twice, no total goes back."""
    result = Chaos(journal=sqlite_address(tmp_path), kills=50).run()
    assert result.exact, result
    assert result.kills == 50
    assert result.rebalances > 0


@pytest.mark.timeout(400)
@pytest.mark.parametrize("variant", ORDERS)
def test_two_transactions_are_caught(tmp_path: Path, variant: str) -> None:
    """The same run finds the mistake of a sink that counts and moves on in two transactions, in either order.

    It took five kills at the most in twelve runs; a hundred, so that a busy machine does not miss it by chance.
    """
    chaos = Chaos(journal=sqlite_address(tmp_path), kills=100, command=broken(variant), rows=False, until_wrong=True)
    result = chaos.run()
    assert (result.missing > 0) == (variant == "commit-then-write"), result
    assert (result.duplicate > 0) == (variant == "write-then-commit"), result


def test_two_sinks_killed_in_turn(postgres: PostgresServer) -> None:
    """Two sinks share a database and a group, and either is killed: their partitions move, and the books stay right."""
    result = Chaos(journal=JournalAddress(postgres.new_database()), kills=10, sinks=2).run()
    assert result.exact, result
