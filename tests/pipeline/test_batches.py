"""When a batch is full: so many messages, so many points, or after so long."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from histq.model import Draft
from histq.pipeline.backends import Opener
from histq.pipeline.consume import ConsumeJob, consume
from histq.pipeline.reports import ConsumeReport
from histq.pipeline.runs import RunLog
from histq.stop import Stop
from tests.pipeline import Quiet, candle, configured, draft

FAR_S = 600


class Batches(Quiet):
    """Notes how many messages each batch had, and does what the test wants after each."""

    def __init__(self, after: Callable[[int], None] = lambda number: None) -> None:
        self.sizes: list[int] = []
        self._after = after

    def stored(self, report: ConsumeReport) -> None:
        self.sizes.append(report.messages)
        self._after(len(self.sizes))


def pages(first: int, count: int) -> list[Draft]:
    """Pages of two points each, a window each."""
    return [
        draft([candle(2 * slot), candle(2 * slot + 1)], slots=2 * slot + 2)
        for slot in range(first, first + count)
    ]


def put(opener: Opener, drafts: list[Draft]) -> None:
    with opener.open(create=True) as backends:
        backends.queue.put(drafts)


def batches(opener: Opener, watcher: Batches, more: Callable[[], bool] = lambda: False) -> None:
    """Runs one worker; fails where it takes ten seconds."""
    runs, stop = RunLog("consume", opener.owner), Stop()
    job = ConsumeJob(opener, 1, runs, stop=stop, watcher=watcher, more=more)
    worker = threading.Thread(target=consume, args=[job], daemon=True)
    worker.start()
    worker.join(10)
    in_time = not worker.is_alive()
    stop.set()
    worker.join(10)
    assert in_time


def test_a_batch_is_full_at_so_many_messages(tmp_path: Path) -> None:
    opener, watcher = configured(tmp_path, batch_size=3), Batches()
    put(opener, pages(0, 7))

    batches(opener, watcher)

    assert watcher.sizes == [3, 3, 1]


def test_a_batch_is_full_at_so_many_points(tmp_path: Path) -> None:
    opener, watcher = configured(tmp_path, batch_points=5), Batches()
    put(opener, pages(0, 5))

    batches(opener, watcher)

    assert watcher.sizes == [2, 2, 1]


class Producer(NamedTuple):
    """Puts pages while the batches are stored: those of each number after that batch."""

    opener: Opener
    after: dict[int, list[Draft]]
    done: threading.Event

    def feed(self, number: int) -> None:
        for page in self.after.get(number, []):
            put(self.opener, [page])
        if number > max(self.after):
            self.done.set()


def follow(opener: Opener, after: dict[int, list[Draft]]) -> list[int]:
    """The sizes of the batches, of a first page and of those that the producer puts."""
    put(opener, pages(0, 1))
    producer = Producer(opener, after, threading.Event())
    watcher = Batches(producer.feed)
    batches(opener, watcher, more=lambda: not producer.done.is_set())
    return watcher.sizes


def test_an_unfilled_batch_gives_the_next_one_time(tmp_path: Path) -> None:
    opener, watcher = configured(tmp_path, batch_seconds=0.5), Batches()
    put(opener, pages(0, 1))
    late = pages(1, 2)

    def more() -> bool:
        """Puts a page each time that the worker, after the first batch, looks for more."""
        if watcher.sizes and late:
            put(opener, [late.pop()])
        return sum(watcher.sizes) < 3

    batches(opener, watcher, more)

    assert watcher.sizes == [1, 2]


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param({"batch_size": 3}, id="messages"),
        pytest.param({"batch_points": 6}, id="points"),
    ],
)
def test_a_batch_that_fills_up_in_time_does_not_wait(limit: dict[str, Any], tmp_path: Path) -> None:
    opener = configured(tmp_path, batch_seconds=FAR_S, **limit)

    assert follow(opener, {1: pages(1, 3)}) == [1, 3]


def test_pages_that_do_not_fill_a_batch_to_the_brim_keep_nobody_waiting(tmp_path: Path) -> None:
    opener, watcher = configured(tmp_path, batch_seconds=FAR_S, batch_points=5), Batches()
    put(opener, pages(0, 6))

    batches(opener, watcher, more=lambda: len(watcher.sizes) < 3)

    assert watcher.sizes == [2, 2, 2]


def test_no_batch_waits_when_nothing_more_is_to_come(tmp_path: Path) -> None:
    opener, watcher = configured(tmp_path, batch_seconds=FAR_S), Batches()
    put(opener, pages(0, 1))
    answers = iter([True, True, True])

    batches(opener, watcher, more=lambda: next(answers, False))

    assert watcher.sizes == [1]
