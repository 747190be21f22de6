"""Opens the files that an import is given: CSV of Binance's archive, or a table of SQLite."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final, NamedTuple

from histq.db import foreign_rows
from histq.errors import HistqError, Usage
from histq.importing import (
    Page,
    csv_rows,
    interval_of,
    named,
    pages,
    refuse_other_length,
    source_of,
    symbol_of,
    table_columns,
    table_rows,
)
from histq.model import Candle, Interval, Series

FIRST_CANDLES: Final = 5
DEFAULT_SOURCE: Final = "binance"

_SQLITE: Final = b"SQLite format 3\x00"
_ZIP: Final = b"PK\x03\x04"

Pages = Iterator[Page]


class Asked(NamedTuple):
    """What the user said besides the files. Of a table, symbol and source choose the rows."""

    symbol: str | None = None
    interval: str | None = None
    source: str | None = None
    table: str = "historical_prices"


def reader(path: Path, asked: Asked, database: Path) -> Callable[[], Pages]:
    """What reads the file into pages; made sure that it can. Raises Usage."""
    begins = _first_bytes(path, database)
    if begins.startswith(_SQLITE):
        return _table_reader(path, asked)
    if begins.startswith(_ZIP):
        raise Usage(f"{path} is a zip archive; unzip it and import the CSV in it")
    return _csv_reader(path, asked)


def _first_bytes(path: Path, database: Path) -> bytes:
    try:
        # Never opened here where it is our own: closing it would drop SQLite's locks on it.
        if path.samefile(database):
            raise Usage(f"{path} is the database itself; --db names another one to import into")
        with path.open("rb") as file:
            return file.read(len(_SQLITE))
    except OSError as error:
        raise Usage(f"cannot read {path}: {error.strerror}") from error


def _csv_reader(path: Path, asked: Asked) -> Callable[[], Pages]:
    series = _csv_series(path, asked)

    def read() -> Generator[tuple[Series, Candle]]:
        # Bytes that are no text end as a number that is none, with the line that has them.
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
            yield from csv_rows(lines, str(path), series)

    try:
        with closing(read()) as found:
            first = [candle for _, candle in islice(found, FIRST_CANDLES)]
    except HistqError as error:
        raise Usage(str(error)) from error
    if not first:
        raise Usage(f"{path} holds no candles")
    refuse_other_length(first, Interval(series.interval), str(path))
    return lambda: pages(read())


def _csv_series(path: Path, asked: Asked) -> Series:
    symbol, interval = named(path.name) or ("", "")
    symbol, interval = asked.symbol or symbol, asked.interval or interval
    if not symbol or not interval:
        raise Usage(
            f"the name of {path} tells no symbol and interval, as BTCUSDT-1h-2024-11.csv does;"
            " say them with --symbol and -i"
        )
    source = source_of(asked.source or DEFAULT_SOURCE)
    return Series(source, symbol_of(symbol), interval_of(interval).name)


def _table_reader(path: Path, asked: Asked) -> Callable[[], Pages]:
    table = _table(path, asked.table)
    found = foreign_rows(path, "select name from pragma_table_info(?)", (table,))
    columns = table_columns(table, [name for (name,) in found])
    interval = interval_of(asked.interval) if asked.interval else None
    if interval is None and "interval" not in columns:
        raise Usage(f"table {table} of {path} has no column interval; say with -i what it holds")
    symbol = symbol_of(asked.symbol) if asked.symbol else None
    source = source_of(asked.source) if asked.source else None

    def wanted(series: Series) -> bool:
        return (
            series.symbol == (symbol or series.symbol)
            and series.source == (source or series.source)
            and (interval is None or series.interval == interval.name)
        )

    place = [column for column in ("source", "symbol", "interval") if column in columns]
    # Names are no values and cannot be bound; this one is of a table that the file has.
    quoted = table.replace('"', '""')
    sql = f'select {", ".join(columns)} from "{quoted}" order by {", ".join(place)}, timestamp'
    name = f"{path}, table {table}"
    return lambda: _some(
        pages(table_rows(foreign_rows(path, sql), columns, name, wanted, interval)), name
    )


def _some(found: Pages, name: str) -> Pages:
    """The pages. Raises Usage where there is none."""
    first = next(found, None)
    if first is None:
        raise Usage(f"{name}: no row is of the symbol, interval and source that were asked for")
    yield first
    yield from found


def _table(path: Path, wanted: str) -> str:
    """The table or view as the file spells it. Raises Usage."""
    found = foreign_rows(
        path,
        "select name from sqlite_master where type in ('table', 'view')"
        " and name not like 'sqlite\\_%' escape '\\' order by name",
    )
    names = [str(name) for (name,) in found]
    for name in names:
        if name.lower() == wanted.lower():
            return name
    has = f"it has {', '.join(names)}; say which with --table" if names else "it has none"
    raise Usage(f"{path} has no table {wanted}; {has}")
