"""Work that a stop does not wait for."""

import threading

import pytest

from histq.errors import Config, Stopped
from histq.pipeline.interruptible import interruptible
from histq.stop import Stop


def test_it_gives_what_the_work_gives() -> None:
    assert interruptible(lambda: 42, Stop()) == 42


def test_it_raises_what_the_work_raises() -> None:
    def work() -> None:
        raise Config("no")

    with pytest.raises(Config, match="no"):
        interruptible(work, Stop())


def test_a_time_out_of_the_work_is_no_time_out_of_ours() -> None:
    def work() -> None:
        raise TimeoutError("the work's own")

    with pytest.raises(TimeoutError, match="the work's own"):
        interruptible(work, Stop())


def test_a_stop_leaves_work_behind_that_does_not_hear_it() -> None:
    stop, begun, release = Stop(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        stop.set()
        release.wait(30)

    with pytest.raises(Stopped, match="in the middle of the work"):
        interruptible(work, stop)
    release.set()

    assert begun.is_set()


def test_work_that_hears_the_stop_says_so_itself() -> None:
    stop = Stop()

    def work() -> None:
        stop.set()
        raise Stopped("nothing was changed")

    with pytest.raises(Stopped, match="nothing was changed"):
        interruptible(work, stop)
