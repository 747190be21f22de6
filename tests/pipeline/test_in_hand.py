"""What a consumer holds: kept while work goes on, and handed back when the work is cut short."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.db import Database
from histq.errors import DiskFull
from histq.host import wall_clock
from histq.model import Series
from histq.page import Flat
from histq.pipeline.backends import Opener
from histq.pipeline.consume import ConsumeJob, consume
from histq.pipeline.reports import ConsumeReport
from histq.pipeline.runs import RunLog
from histq.stop import Stop
from histq.stores import Written
from histq.stores.sqlite import SqliteStore
from tests.pipeline import ETH, Quiet, candle, closes, configured, draft, run, with_store

ELSEWHERE = "elsewhere:boot:1:0:other"
LEASE_S = 2.0


class Gate:
    """Where a store stops in the middle of a write until it is opened."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def open(self) -> None:
        """And waits for those who stood before it."""
        self.opened.set()
        for thread in threading.enumerate():
            if thread.name == "histq-consume":
                thread.join(10)

    def store(self, database: Database) -> SqliteStore:
        return SlowStore(database, self)


class SlowStore(SqliteStore):
    def __init__(self, database: Database, gate: Gate) -> None:
        super().__init__(database)
        self._gate = gate

    def write(self, series: Series, page: Flat) -> Written:
        self._gate.reached.set()
        self._gate.opened.wait(30)
        return super().write(series, page)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()


class Consuming(threading.Thread):
    """One worker on two files, so that a slow write of prices keeps nobody from the queue."""

    def __init__(self, opener: Opener, gate: Gate) -> None:
        super().__init__(daemon=True)
        self.stop = Stop()
        runs = RunLog("consume", opener.owner)
        self._job = ConsumeJob(with_store(opener, gate.store), 1, runs, self.stop, Quiet())
        self.report = ConsumeReport()

    def run(self) -> None:
        self.report = consume(self._job)


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    return configured(tmp_path, url="sqlite:///queue.db", lease_s=LEASE_S)


def test_a_lease_lasts_as_long_as_the_work(opener: Opener, tmp_path: Path, gate: Gate) -> None:
    other = configured(tmp_path, ELSEWHERE, url="sqlite:///queue.db", lease_s=LEASE_S)
    with other.open(create=True) as backends:
        backends.queue.put([draft([candle(0)], slots=1), draft([candle(0)], ETH, slots=1)])
        consuming = Consuming(opener, gate)
        consuming.start()
        assert gate.reached.wait(10)
        past_the_lease = wall_clock() + round(LEASE_S * 1000) + 500

        stolen = []
        while wall_clock() < past_the_lease:
            stolen += backends.queue.lease(10, 1000, LEASE_S)
        gate.open()
        consuming.join(10)

        assert stolen == []
        assert (consuming.report.inserted, consuming.report.duplicates) == (2, 0)
        assert backends.queue.depth().messages == 0


def test_what_is_not_done_in_time_after_a_stop_is_handed_back_and_counts_for_nothing(
    tmp_path: Path, gate: Gate
) -> None:
    opener = configured(tmp_path, url="sqlite:///queue.db", lease_s=600, shutdown_seconds=0)
    with opener.open(create=True) as backends:
        backends.queue.put([draft([candle(0)], slots=1)])
        consuming = Consuming(opener, gate)
        consuming.start()
        assert gate.reached.wait(10)

        consuming.stop.set()
        consuming.join(10)
        (message,) = backends.queue.lease(10, 1000, 600)
        gate.open()

        assert consuming.report.messages == 0
        assert (message.deliveries, message.failures) == (1, 0)
        backends.queue.ack([message])


class FullStore(SqliteStore):
    """A store without room."""

    def write(self, series: Series, page: Flat) -> Written:
        raise DiskFull("using prices.db: the disk is full")


def test_what_an_error_interrupts_is_handed_back(tmp_path: Path) -> None:
    opener = configured(tmp_path, lease_s=600)
    with opener.open(create=True) as backends:
        backends.queue.put([draft([candle(0)], slots=1), draft([candle(0)], ETH, slots=1)])

        with pytest.raises(DiskFull):
            run(with_store(opener, FullStore))

        assert backends.queue.depth().ready == 2
        assert run(opener).inserted == 2
        assert closes(backends) == closes(backends, ETH) == {0: 2.0}


class BrokenStore(SqliteStore):
    """A store that fails as nobody foresaw."""

    def write(self, series: Series, page: Flat) -> Written:
        raise RuntimeError("a bug")


def test_what_breaks_the_consumer_itself_is_counted_as_a_delivery(tmp_path: Path) -> None:
    opener = configured(tmp_path, lease_s=600)
    with opener.open(create=True) as backends:
        backends.queue.put([draft([candle(0)], slots=1)])

        with pytest.raises(RuntimeError):
            run(with_store(opener, BrokenStore))

        assert backends.queue.depth().leased == 1
        assert backends.database.value("select deliveries from messages") == 1
