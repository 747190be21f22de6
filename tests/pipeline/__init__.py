"""What the tests of the pipeline share: two series, an hour, and a look at what became of them."""

from collections.abc import Callable, Sequence
from pathlib import Path

from histq.config import load
from histq.db import Database
from histq.model import Candle, Draft, Series, Window
from histq.page import flatten, pack
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.consume import ConsumeJob, consume
from histq.pipeline.reports import ConsumeReport
from histq.pipeline.runs import RunLog
from histq.stop import Stop
from histq.stores import Store

HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01
BTC = Series("binance", "BTCUSDT", "1h")
ETH = Series("binance", "ETHUSDT", "1h")


class Quiet:
    """Watches nothing."""

    def waiting_points(self, points: int) -> None: ...

    def stored(self, report: ConsumeReport) -> None: ...

    def idle(self, why: str) -> None: ...


def candle(slot: int, close: float = 2.0, high: float = 9.0) -> Candle:
    opened = START + slot * HOUR
    return Candle(opened, open=2.0, high=high, low=1.0, close=close, volume=5.0)


def draft(candles: Sequence[Candle], series: Series = BTC, slots: int = 24) -> Draft:
    """A page of the first so many hours."""
    return Draft(series, Window(START, START + slots * HOUR), len(candles), pack(flatten(candles)))


def run(opener: Opener, *, wait: bool = True) -> ConsumeReport:
    runs = RunLog("consume", opener.owner)
    job = ConsumeJob(opener, 2, runs, stop=Stop(), watcher=Quiet(), wait=wait)
    return consume(job)


def configured(
    folder: Path,
    owner: str = "host:boot:1:0:test",
    *,
    shutdown_seconds: float = 30,
    **queue: object,
) -> Opener:
    """How a process opens the database of the folder, with these settings of [queue].

    A disk may be as full as it likes.
    """
    flags = {
        "database": {"path": str(folder / "histq.db"), "min_free_bytes": 0},
        "consume": {"shutdown_seconds": shutdown_seconds},
        "queue": queue,
    }
    return Opener(load(flags, plain=True).settings, owner)


def with_store(opener: Opener, make: Callable[[Database], Store]) -> Opener:
    """Opens the same queue, and a store of the test's own making."""

    class Replacing(Opener):
        def open(self, *, create: bool) -> Backends:
            opened = opener.open(create=create)
            store_database = opened.store.database
            assert store_database is not None
            return opened._replace(store=make(store_database))

    return Replacing(*opener)


def closes(backends: Backends, series: Series = BTC) -> dict[int, float]:
    """Hour of the day to close."""
    found = backends.database.rows(
        "select timestamp, close from historical_prices where symbol = ?", (series.symbol,)
    )
    return {(timestamp - START) // HOUR: close for timestamp, close in found}


def spans(backends: Backends, series: Series = BTC) -> list[tuple[int, int, str]]:
    """The ledger in hours."""
    return [
        ((span.start - START) // HOUR, (span.end - START) // HOUR, span.state.value)
        for span in backends.store.spans(series)
    ]
