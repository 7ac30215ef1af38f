"""Ctrl-C and SIGTERM, sent for real: held back where a block must not be cut in two, and never lost."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from runbook.interrupts import Interrupted, become_interruptible, uninterrupted
from runbook.platforms import END_SIGNALS

SIGNALS = END_SIGNALS


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    become_interruptible()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def interrupt(number: signal.Signals) -> None:
    signal.raise_signal(number)  # as Ctrl-C does it; os.kill would end the process on Windows


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_with_exit_code_130(number: signal.Signals) -> None:
    with pytest.raises(Interrupted) as caught:
        interrupt(number)
    assert caught.value.code == 130


@pytest.mark.parametrize("number", SIGNALS)
def test_a_block_is_finished_first(number: signal.Signals) -> None:
    done = []

    @uninterrupted()
    def block() -> None:
        interrupt(number)
        done.append("the rest of the block")

    with pytest.raises(Interrupted):
        block()
    assert done == ["the rest of the block"]


def test_an_outer_block_is_not_cut_by_an_inner_one() -> None:
    done = []

    @uninterrupted()
    def block() -> None:
        with uninterrupted():
            interrupt(signal.SIGINT)
        done.append("after the inner block")

    with pytest.raises(Interrupted):
        block()
    assert done == ["after the inner block"]


def test_an_error_of_the_block_goes_before_the_interrupt() -> None:
    """What went wrong in the middle of a change matters more than that somebody wanted to stop."""

    @uninterrupted()
    def block() -> None:
        interrupt(signal.SIGINT)
        raise ValueError("half")

    with pytest.raises(ValueError, match="half"):
        block()


def test_handlers_are_as_before_afterwards() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with uninterrupted():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_another_thread_needs_no_protection() -> None:
    """Signals reach the main thread only; a block elsewhere runs as it is."""
    done = []

    def work() -> None:
        with uninterrupted():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]


LOST_IN_A_FINALIZER = """
import signal, weakref
from runbook.interrupts import Interrupted, become_interruptible, raise_if_interrupted, uninterrupted

class Thing: pass

become_interruptible()
thing = Thing()
weakref.finalize(thing, lambda: signal.raise_signal(signal.SIGINT))
del thing
print("Python ignored it", flush=True)
try:
    raise_if_interrupted()
except Interrupted:
    print("raised")
raise_if_interrupted()
print("once")
"""
LOST_AND_HELD = LOST_IN_A_FINALIZER.replace("try:", "with uninterrupted(): raise_if_interrupted()\ntry:")


@pytest.mark.parametrize("program", [LOST_IN_A_FINALIZER, LOST_AND_HELD], ids=["at once", "held back"])
def test_an_interrupt_within_a_finalizer_is_not_lost(program: str) -> None:
    """Python ignores what a finalizer raises; the interrupt is raised, once, at the next step.

    A step of a block that must not be interrupted is none.
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=30)

    assert done.stdout.splitlines() == ["Python ignored it", "raised", "once"]
    assert done.stderr == ""
