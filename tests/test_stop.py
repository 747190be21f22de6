"""A stop, and what is raised where it has ended some work."""

import os
import signal
from collections.abc import Iterator

import pytest

from histq.errors import Stopped
from histq.stop import Stop


@pytest.fixture
def stop() -> Iterator[Stop]:
    """One that hears the signals of this process, which gets its own handlers back."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield Stop().on_signals()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["ctrl-c", "sigterm"]
)
def test_what_a_signal_ends_carries_its_exit_code(number: int, code: int, stop: Stop) -> None:
    part = stop.child()

    os.kill(os.getpid(), number)

    assert (stop.exit_code, part.exit_code) == (code, code)
    with pytest.raises(Stopped) as raised:
        part.sleep(60)
    assert raised.value.exit_code == code


def test_a_part_that_is_ended_alone_leaves_the_whole_going() -> None:
    stop = Stop()
    part = stop.child()

    part.set()

    assert not stop
    with pytest.raises(Stopped):
        part.sleep(60)


def test_a_stop_without_a_signal_counts_as_ctrl_c() -> None:
    stop = Stop()
    stop.set()

    assert stop.stopped("enough").exit_code == 130
