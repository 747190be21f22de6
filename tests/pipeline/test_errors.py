"""Errors of the store, sorted: the guilty message alone, tried again, or the end of the run."""

import pytest

from histq.db import Database
from histq.errors import Config, DiskFull, HistqError, Locked, StorageFailed
from histq.model import Series
from histq.page import Flat
from histq.pipeline.backends import Backends, Opener
from histq.stores import Written
from histq.stores.sqlite import SqliteStore
from tests.pipeline import BTC, ETH, candle, closes, draft, run, spans, with_store


class FailingStore(SqliteStore):
    """A store that cannot take one series, by an error of the test's choice."""

    def __init__(self, database: Database, error: HistqError, failing: Series) -> None:
        super().__init__(database)
        self._error = error
        self._failing = failing

    def write(self, series: Series, page: Flat) -> Written:
        if series == self._failing:
            raise self._error
        return super().write(series, page)


def failing(opener: Opener, error: HistqError) -> Opener:
    return with_store(opener, lambda database: FailingStore(database, error, ETH))


def put_three(backends: Backends) -> None:
    """Two pages of one series around one of the series that cannot be stored."""
    first, guilty = draft([candle(0)], slots=1), draft([candle(0)], ETH, slots=1)
    backends.queue.put([first, guilty, draft([candle(1)], slots=2)])


def test_a_failure_of_the_disk_is_counted_for_the_guilty_message_alone(
    opener: Opener, backends: Backends
) -> None:
    put_three(backends)

    report = run(failing(opener, StorageFailed("disk I/O error")), wait=False)

    assert closes(backends) == {0: 2.0, 1: 2.0}
    assert (report.inserted, report.retried, report.dead) == (2, 1, 0)
    assert backends.database.rows("select symbol, failures, error from messages") == [
        ("ETHUSDT", 1, "disk I/O error")
    ]


def test_a_failure_of_the_disk_that_lasts_leaves_a_dead_letter_and_the_rest_stored(
    opener: Opener, backends: Backends
) -> None:
    put_three(backends)
    for _ in range(4):
        backends.database.change("update messages set available_at = 0")
        run(failing(opener, StorageFailed("disk I/O error")), wait=False)

    (letter,) = backends.queue.letters()

    assert (letter.series, letter.reason, letter.failures) == (ETH, "exhausted", 4)
    assert spans(backends, ETH) == [(0, 1, "dead")]
    assert spans(backends, BTC) == [(0, 2, "stored")]


@pytest.mark.parametrize(
    "error",
    [
        Locked("using histq.db: another program holds the database locked"),
        DiskFull("using histq.db: the disk is full; free some room and run the command again"),
        Config("using histq.db: attempt to write a readonly database"),
    ],
    ids=["busy", "full", "read-only"],
)
def test_an_error_that_is_no_messages_fault_ends_the_run_and_leaves_the_queue_as_it_was(
    error: HistqError, opener: Opener, backends: Backends
) -> None:
    put_three(backends)

    with pytest.raises(type(error), match=str(error)):
        run(failing(opener, error))

    depth = backends.queue.depth()
    assert (depth.messages, depth.ready, depth.dead) == (3, 3, 0)
    assert backends.database.rows("select failures, deliveries from messages") == [(0, 0)] * 3
    assert run(opener).inserted == 3
