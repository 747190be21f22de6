"""How far a reading of many candles has come, for whoever waits for it."""

from collections.abc import Iterator
from typing import Final

from histq.model import Candle, Interval, Series, Window
from histq.pipeline.audit import Tell
from histq.stores import Store

EVERY: Final = 20_000
"""Candles between one word and the next: a few hundredths of a second."""


class Reading:
    """Some series on their way through, told together. What `tell` raises ends the reading."""

    def __init__(self, store: Store, tell: Tell) -> None:
        self._store = store
        self._points = {
            Series(one.source, one.symbol, one.interval): one.points for one in store.coverage()
        }
        self._tell = tell
        self._done = self._all = 0

    def expect(self, series: Series, window: Window) -> None:
        """So many more are to be read, as far as the counters and the grid can say."""
        held, interval = self._points.get(series, 0), Interval(series.interval)
        self._all += min(held, interval.slots(*window)) if interval.gridded else held

    def candles(self, series: Series, window: Window, doing: str) -> Iterator[Candle]:
        for number, candle in enumerate(self._store.candles(series, window), 1):
            if not number % EVERY:
                self._done += EVERY
                self._tell(doing, self._done, self._all)
            yield candle


def untold(doing: str, done: int, of: int | None) -> None:
    """Nobody looks on."""
