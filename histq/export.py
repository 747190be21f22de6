"""Prices on their way out: resampled, filled, and written as CSV or JSON lines. Pure.

Everything streams; what is held is one candle, or the running figures of one bucket.
"""

import csv
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from enum import StrEnum
from itertools import groupby
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import astuple

from histq.errors import Usage
from histq.model import FIELDS, Candle, Interval, Series

COLUMNS: Final = (*Series._fields, *FIELDS)
MARK: Final = "filled"
"""The column that tells filled rows; there only where filling was asked for."""


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"

    @classmethod
    def of(cls, file_name: str) -> "Format":
        """By the ending; CSV where it says nothing."""
        name = file_name.lower()
        if name.endswith((".parquet", ".pq")):
            return cls.PARQUET
        return cls.JSONL if name.endswith((".jsonl", ".ndjson")) else cls.CSV


class Fill(StrEnum):
    """What stands in for a missing slot: no row, the last close, or a row of nulls."""

    NONE = "none"
    FFILL = "ffill"
    NULL = "null"


class Row(NamedTuple):
    series: Series
    candle: Candle
    filled: bool = False


class Bucket(NamedTuple):
    """A coarser candle; `complete` when every slot of the finer grid had one."""

    candle: Candle
    complete: bool


def lines(rows: Iterable[Row], format_: Format, *, marked: bool) -> Iterator[bytes]:
    """The rows as UTF-8 lines, of a CSV the header first; `marked` adds the column `filled`.

    A float is written with the fewest digits that read back as the same double.
    """
    columns = (*COLUMNS, MARK) if marked else COLUMNS
    if format_ is Format.JSONL:
        return _json_lines(rows, columns)
    return _csv_lines(rows, columns)


def _json_lines(rows: Iterable[Row], columns: tuple[str, ...]) -> Iterator[bytes]:
    encode = msgspec.json.Encoder().encode
    for series, candle, filled in rows:
        # Not strict: `filled` has no column where nobody asked for it.
        named = zip(columns, (*series, *astuple(candle), filled), strict=False)
        yield encode(dict(named)) + b"\n"


class _Echo:
    """A file for csv.writer that hands each line back."""

    def write(self, line: str) -> str:
        return line


def _csv_lines(rows: Iterable[Row], columns: tuple[str, ...]) -> Iterator[bytes]:
    line = csv.writer(_Echo(), lineterminator="\n").writerow
    yield line(columns).encode()
    width = len(columns)
    for series, candle, filled in rows:
        yield line((*series, *astuple(candle), int(filled))[:width]).encode()


def fill(candles: Iterable[Candle], interval: Interval, how: Fill) -> Iterator[tuple[Candle, bool]]:
    """The candles and what stands in for missing slots between them, as (candle, filled)."""
    before: Candle | None = None
    for candle in candles:
        if before is not None and how is not Fill.NONE:
            for open_time in _between(interval, before.timestamp, candle.timestamp):
                yield _stand_in(open_time, before.close, how), True
        yield candle, False
        before = candle


def _between(interval: Interval, before: int, after: int) -> Iterator[int]:
    """The open times of the slots between the two that hold `before` and `after`."""
    open_time, end = interval.next(before), interval.floor(after)
    while open_time < end:
        yield open_time
        open_time = interval.next(open_time)


def _stand_in(open_time: int, close: float | None, how: Fill) -> Candle:
    if how is Fill.NULL:
        return Candle(open_time)
    return Candle(open_time, close, close, close, close, 0.0, 0.0, 0, 0.0, 0.0)


def refuse_filling(series: Series) -> None:
    """Raises Usage where there is no grid, and so no slot that could be missing."""
    if not Interval(series.interval).gridded:
        raise Usage(f"{series} has no grid to fill; leave out --fill, or choose others with -i")


def refuse_resampling(series: Series, coarse: Interval) -> None:
    """Raises Usage unless whole candles of the series make up each bucket of `coarse`."""
    if not divides(Interval(series.interval), coarse):
        raise Usage(f"{series} cannot be resampled to {coarse.name}; choose others with -i")


def divides(fine: Interval, coarse: Interval) -> bool:
    """Whether every open time of `coarse` is one of `fine`; a year of months tells."""
    if not (fine.gridded and coarse.gridded):
        return False
    return fine.holds([coarse.next(0, slots) for slots in range(13)])


def resample(candles: Iterable[Candle], fine: Interval, coarse: Interval) -> Iterator[Bucket]:
    """One candle a bucket of `coarse`: first open, last close, extremes, sums.

    A figure that one of the candles lacks, the bucket lacks. A bucket without candles is absent.
    """
    for start, within in groupby(candles, lambda candle: coarse.floor(candle.timestamp)):
        yield _bucket(start, within, fine, fine.slots(start, coarse.next(start)))


def _bucket(start: int, candles: Iterable[Candle], fine: Interval, slots: int) -> Bucket:
    first: Candle | None = None
    present, slot = 0, start - 1
    volume, quote, trades, taker, taker_quote = (_Sum() for _ in range(5))
    for candle in candles:
        if first is None:
            first, high, low = candle, candle.high, candle.low
        high, low = _known(max, high, candle.high), _known(min, low, candle.low)
        volume.add(candle.volume)
        quote.add(candle.quote_volume)
        trades.add(candle.trades)
        taker.add(candle.taker_buy_volume)
        taker_quote.add(candle.taker_buy_quote_volume)
        # Candles off the grid may share a slot.
        here = fine.floor(candle.timestamp)
        present, slot = present + (here != slot), here
    assert first is not None  # groupby makes no empty group
    merged = Candle(
        timestamp=start,
        open=first.open,
        high=high,
        low=low,
        close=candle.close,
        volume=volume.value,
        quote_volume=quote.value,
        trades=None if trades.value is None else int(trades.value),
        taker_buy_volume=taker.value,
        taker_buy_quote_volume=taker_quote.value,
    )
    return Bucket(merged, present == slots)


def _known(
    pick: Callable[[float, float], float], one: float | None, other: float | None
) -> float | None:
    return None if one is None or other is None else pick(one, other)


class _Sum:
    """A running sum of what the doubles were written as: 0.1 ten times is 1.0.

    So the volumes of hours add up to those that the provider tells of the day, to the last digit.
    A missing summand makes the sum missing.
    """

    def __init__(self) -> None:
        self._total: Decimal | None = Decimal(0)

    def add(self, value: float | None) -> None:
        if value is None or self._total is None:
            self._total = None
        else:
            self._total += Decimal(repr(value))

    @property
    def value(self) -> float | None:
        return None if self._total is None else float(self._total)
