"""Chart: the figures of one series, in memory that does not grow with it."""

from typing import Final

from histq.chart import Chart, Point, bins, blanks, heat_map
from histq.model import Interval, Series, Window
from histq.pipeline.audit import Tell
from histq.pipeline.ledgers import Ledger
from histq.pipeline.reading import untold
from histq.stores import Bar, Store

AT_ONCE: Final = 16
"""Bins between one word to whoever waits and the next."""


def collect(store: Store, ledger: Ledger, window: Window, most: int, tell: Tell = untold) -> Chart:
    """The window of the series in at most so many bins. What `tell` raises ends it."""
    series, spans = ledger
    wanted = bins(Interval(series.interval), window, most)
    bars: list[Bar] = []
    for place in range(0, len(wanted), AT_ONCE):
        bars += store.bars(series, wanted[place : place + AT_ONCE])
        tell(f"reading {series}", place + AT_ONCE, len(wanted))
    first, high, low, last = _extremes(store, series, bars) if bars else (None,) * 4
    return Chart(
        *series,
        *window,
        candles=sum(bar.candles for bar in bars),
        open=first,
        high=high,
        low=low,
        close=last,
        bins=bars,
        blanks=blanks(series, spans, window),
        coverage=heat_map(series, spans, window),
    )


def _extremes(store: Store, series: Series, bars: list[Bar]) -> tuple[Point, Point, Point, Point]:
    """Open, high, low and close of all the bars, each with the open time of its candle."""
    highest = max(bars, key=lambda bar: bar.high)
    lowest = min(bars, key=lambda bar: bar.low)
    return (
        Point(bars[0].first, bars[0].open),
        Point(_when(store, series, highest, highest.high), highest.high),
        Point(_when(store, series, lowest, lowest.low), lowest.low),
        Point(bars[-1].last, bars[-1].close),
    )


def _when(store: Store, series: Series, bar: Bar, price: float) -> int:
    """When the first candle of the bar opened that reached this price as an extreme."""
    candles = store.candles(series, Window(bar.first, bar.last + 1))
    told = (c.timestamp for c in candles if price in (c.high, c.low, c.close))
    return next(told, bar.first)
