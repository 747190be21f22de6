"""Reads candles out of files that a user has: Binance's archive CSV, and tables of prices. Pure.

A file of the archive has 12 columns in the order of the API, with a header or none; its times are
milliseconds, from 2025 on microseconds. https://github.com/binance/binance-public-data
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Final, NamedTuple

from histq.errors import HistqError, Poison, Usage
from histq.model import MICROSECONDS_FROM, Candle, Interval, Series, Window

PAGE_CANDLES: Final = 1000

# No instant in seconds is as large before the year 5138, none in milliseconds smaller since 1973.
MILLISECONDS_FROM: Final = 10**11

CSV_COLUMNS: Final = 12
TABLE_COLUMNS: Final = (
    *("symbol", "timestamp", "open", "high", "low", "close", "volume", "source"),
)
MORE_COLUMNS: Final = (
    *("interval", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume"),
    "close_time",
)
"""What a table may have besides."""

_FILE_NAME: Final = re.compile(r"([A-Z0-9]+)-(\d+(?:mo|[smhdwM]))(?:[-.].*)?")
_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,40}")
_SOURCE: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,39}")

Row = tuple[Series, Candle]
Value = str | int | float | None


class Page(NamedTuple):
    """Candles of one series, ascending, each open time once, and the slots that they reach over."""

    series: Series
    window: Window
    candles: list[Candle]


def named(file_name: str) -> tuple[str, str] | None:
    """Symbol and interval by a name such as BTCUSDT-1h-2024-11.csv; None where it tells none."""
    found = _FILE_NAME.fullmatch(file_name)
    return (found[1], found[2]) if found else None


def interval_of(text: str) -> Interval:
    """The interval; the archive's spelling of a month, 1mo, is known too. Raises Usage."""
    return Interval.parse("1M" if text == "1mo" else text)


def symbol_of(text: str) -> str:
    """The symbol without separator, in capitals. Raises Usage."""
    symbol = re.sub(r"[/_-]", "", text.strip().upper())
    if not _SYMBOL.fullmatch(symbol):
        raise Usage(f"no symbol {text!r}; write BTCUSDT or BTC/USDT")
    return symbol


def source_of(text: str) -> str:
    """The name of a source, in small letters. Raises Usage."""
    source = text.strip().lower()
    if not _SOURCE.fullmatch(source):
        raise Usage(f"no source {text!r}; a source is named like binance")
    return source


def csv_rows(lines: Iterable[str], name: str, series: Series) -> Iterator[Row]:
    """The candles of a file in the archive's layout. Raises Poison at the first line that is not.

    `name` is what the error calls the file.
    """
    interval = Interval(series.interval)
    reader = csv.reader(lines)
    try:
        for cells in reader:
            if not cells:
                continue
            if reader.line_num == 1 and not cells[0][:1].isdigit():
                _check_header(cells)
            else:
                yield series, _archived(cells, interval)
    except (ValueError, OverflowError, csv.Error) as error:
        raise Poison(f"{name}: line {reader.line_num}: {error}") from error


def _check_header(cells: Sequence[str]) -> None:
    first = cells[0].strip().lower().replace(" ", "_")
    if first != "open_time":
        raise ValueError(
            f"the first column is {cells[0]!r}, in Binance's archive it is the open time, the"
            f" first of {CSV_COLUMNS}; take out what is not of the archive"
        )
    _check_width(cells)


def _check_width(cells: Sequence[str]) -> None:
    if len(cells) != CSV_COLUMNS:
        raise ValueError(
            f"{len(cells)} columns, a line of Binance's archive has {CSV_COLUMNS}, from open time"
            " to ignore"
        )


def _archived(cells: Sequence[str], interval: Interval) -> Candle:
    _check_width(cells)
    values: dict[str, Value] = dict(
        zip(
            ("open", "high", "low", "close", "volume", "close_time", *MORE_COLUMNS[1:5]),
            cells[1:11],
            strict=True,
        )
    )
    return _candle(cells[0], values, interval)


def table_columns(table: str, columns: Sequence[str]) -> list[str]:
    """Those of the table's columns that are read. Raises Usage where one is missing."""
    has = {column.lower() for column in columns}
    if lacking := [column for column in TABLE_COLUMNS if column not in has]:
        raise Usage(f"table {table} has no column {lacking[0]}; it has {', '.join(columns)}")
    return [column for column in (*TABLE_COLUMNS, *MORE_COLUMNS) if column in has]


def table_rows(
    rows: Iterable[Sequence[Value]],
    columns: Sequence[str],
    name: str,
    wanted: Callable[[Series], bool],
    interval: Interval | None,
) -> Iterator[Row]:
    """The candles of a table's rows, those of unwanted series left out.

    `interval` is that of tables without such a column. Raises Poison at the first row without
    source, symbol, interval or time, or with a text that is no number.
    """
    for number, row in enumerate(rows, 1):
        values = dict(zip(columns, row, strict=True))
        try:
            own = interval
            if "interval" in values:
                own = interval_of(str(values.pop("interval")))
            assert own is not None, "who calls has made sure"
            source = source_of(str(values.pop("source")))
            series = Series(source, symbol_of(str(values.pop("symbol"))), own.name)
            if wanted(series):
                yield series, _candle(values.pop("timestamp"), values, own)
        except (Usage, ValueError, TypeError, OverflowError) as error:
            raise Poison(f"{name}: row {number} by symbol and time: {error}") from error


def _candle(opened: Value, values: dict[str, Value], interval: Interval) -> Candle:
    timestamp, closed = instant(opened), values.get("close_time")
    close_time = None if closed in (None, "") else instant(closed)
    if interval.gridded and close_time == interval.close_time(timestamp):
        close_time = None
    return Candle(
        timestamp=timestamp,
        open=_number(values.get("open")),
        high=_number(values.get("high")),
        low=_number(values.get("low")),
        close=_number(values.get("close")),
        volume=_number(values.get("volume")),
        quote_volume=_number(values.get("quote_volume")),
        trades=_whole(values.get("trades")),
        taker_buy_volume=_number(values.get("taker_buy_volume")),
        taker_buy_quote_volume=_number(values.get("taker_buy_quote_volume")),
        close_time=close_time,
    )


def instant(value: Value) -> int:
    """Unix milliseconds of an instant in seconds, milliseconds or microseconds, told by its size.

    Raises ValueError for what is none of them.
    """
    number = _number(value)
    if number is None or not 0 < number < MICROSECONDS_FROM * 1000:
        raise ValueError(f"{value!r} is no time in seconds, milliseconds or microseconds")
    if number >= MICROSECONDS_FROM:
        return int(number // 1000)
    return round(number) if number >= MILLISECONDS_FROM else round(number * 1000)


def _number(value: Value) -> float | None:
    return None if value is None or value == "" else float(value)


def _whole(value: Value) -> int | None:
    number = _number(value)
    if number is None:
        return None
    if not number.is_integer():
        raise ValueError(f"{value!r} is no number of trades")
    return int(number)


def refuse_other_length(candles: Sequence[Candle], interval: Interval, name: str) -> None:
    """Raises Usage where none of the first candles of an archive's file is as long as `interval`.

    One alone may be a candle that closed early.
    """
    if len(candles) > 1 and all(candle.close_time is not None for candle in candles):
        length = (candles[0].close_time or 0) + 1 - candles[0].timestamp
        raise Usage(
            f"{name}: its candles last {length / 1000:,g} s, a candle of {interval.name} does not;"
            " say the right interval with -i"
        )


def pages(rows: Iterable[Row]) -> Iterator[Page]:
    """The candles in pages as a provider gives them, holding a page's worth at a time.

    What says an open time again, within a page's worth, follows on a page of its own. Where the
    rows end in an error, what came before it is told first.
    """
    chunk: list[Candle] = []
    held: Series | None = None
    broken: HistqError | None = None
    try:
        for series, candle in rows:
            if held is not None and (series != held or len(chunk) == PAGE_CANDLES):
                yield from _paged(held, chunk)
                chunk = []
            held = series
            chunk.append(candle)
    except HistqError as error:
        broken = error
    if held is not None:
        yield from _paged(held, chunk)
    if broken is not None:
        raise broken


def _paged(series: Series, chunk: Sequence[Candle]) -> Iterator[Page]:
    interval = Interval(series.interval)
    left = sorted(chunk, key=attrgetter("timestamp"))
    while left:
        page: list[Candle] = []
        again: list[Candle] = []
        for candle in left:
            (again if page and candle.timestamp == page[-1].timestamp else page).append(candle)
        for run in _runs(page, interval):
            end = interval.next(run[-1].timestamp)
            yield Page(series, Window(interval.floor(run[0].timestamp), end), run)
        left = again


def _runs(page: list[Candle], interval: Interval) -> Iterator[list[Candle]]:
    """The page; without a grid cut where a slot is empty, as its window then says all it holds."""
    if interval.gridded:
        yield page
        return
    run = page[:1]
    for candle in page[1:]:
        if interval.floor(candle.timestamp) > interval.next(run[-1].timestamp):
            yield run
            run = []
        run.append(candle)
    yield run
