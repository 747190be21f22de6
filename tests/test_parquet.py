"""Prices as Parquet: types, nulls, groups, and no footer where it is not whole."""

import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from histq.export import Row
from histq.model import Candle
from histq.parquet import ROWS_A_GROUP, write
from tests.stores import BTC, ETH, candle

FULL = Candle(3_600_000, 3.0, 4.5, 2.0, 3.5, 10.0, 35.0, 7, 5.0, 17.25, 7_199_998)
FOOTER = b"PAR1"


def written(rows: list[Row], *, marked: bool = False) -> pq.ParquetFile:
    out = io.BytesIO()
    write(rows, out, marked=marked, provenance={})
    return pq.ParquetFile(out)


def hours(number: int) -> Iterator[Row]:
    return (Row(BTC, candle(hour)) for hour in range(number))


def test_every_value_reads_back_as_it_was() -> None:
    table = written([Row(BTC, FULL), Row(ETH, candle(2))]).read()

    # As numbers, for a timestamp is one: ms since 1970.
    plain = table.set_column(3, "timestamp", table["timestamp"].cast(pa.int64()))
    plain = plain.set_column(13, "close_time", table["close_time"].cast(pa.int64()))
    assert [tuple(row.values()) for row in plain.to_pylist()] == [
        (*BTC, 3_600_000, 3.0, 4.5, 2.0, 3.5, 10.0, 35.0, 7, 5.0, 17.25, 7_199_998),
        (*ETH, 7_200_000, None, None, None, 1.5, *[None] * 6),
    ]


def test_the_columns_say_their_types() -> None:
    schema = written([], marked=True).schema_arrow

    instant = pa.timestamp("ms", tz="UTC")
    assert {field.name: field.type for field in schema} == {
        **{"source": pa.string(), "symbol": pa.string(), "interval": pa.string()},
        **{"timestamp": instant, "open": pa.float64(), "high": pa.float64()},
        **{"low": pa.float64(), "close": pa.float64(), "volume": pa.float64()},
        **{"quote_volume": pa.float64(), "trades": pa.int64()},
        **{"taker_buy_volume": pa.float64(), "taker_buy_quote_volume": pa.float64()},
        **{"close_time": instant, "filled": pa.bool_()},
    }
    assert [field.name for field in schema if not field.nullable] == [
        *("source", "symbol", "interval", "timestamp", "filled")
    ]


def test_names_are_kept_once_a_group_and_prices_as_they_are() -> None:
    group = written(list(hours(1000))).metadata.row_group(0)

    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    dictionaries = {name for name, column in columns.items() if column.has_dictionary_page}
    assert dictionaries == {"source", "symbol", "interval"}
    assert columns["symbol"].total_uncompressed_size < 100


def test_filled_rows_are_marked() -> None:
    table = written([Row(BTC, candle(0)), Row(BTC, candle(1), filled=True)], marked=True).read()

    assert table["filled"].to_pylist() == [False, True]


def test_no_rows_are_a_file_all_the_same() -> None:
    file = written([])

    assert (file.metadata.num_rows, file.metadata.num_columns) == (0, 14)


def test_rows_are_written_in_groups_while_they_come() -> None:
    out = io.BytesIO()
    sizes = []

    def watched() -> Iterator[Row]:
        for number, row in enumerate(hours(ROWS_A_GROUP + 5_000)):
            if number in (ROWS_A_GROUP - 1, ROWS_A_GROUP):
                sizes.append(len(out.getvalue()))
            yield row

    write(watched(), out, marked=False, provenance={})

    metadata = pq.ParquetFile(out).metadata
    groups = [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]
    assert groups == [ROWS_A_GROUP, 5_000]
    assert sizes[0] < 100 < sizes[1]


def test_a_file_tells_where_it_comes_from() -> None:
    out = io.BytesIO()

    write(hours(1), out, marked=False, provenance={"version": "1.2", "series": [str(BTC)]})

    told = pq.read_schema(out).metadata[b"histq"]
    assert json.loads(told) == {"version": "1.2", "series": ["binance/BTCUSDT/1h"]}


def test_the_same_rows_are_the_same_bytes() -> None:
    first, second = io.BytesIO(), io.BytesIO()

    for out in (first, second):
        write(hours(1000), out, marked=False, provenance={"version": "1.2"})

    assert first.getvalue() == second.getvalue()


def test_rows_that_break_off_leave_no_footer() -> None:
    out = io.BytesIO()

    def torn() -> Iterator[Row]:
        yield from hours(ROWS_A_GROUP + 1)
        raise ValueError("torn")

    with pytest.raises(ValueError, match="torn"):
        write(torn(), out, marked=False, provenance={})

    assert len(out.getvalue()) > 10_000
    assert not out.getvalue().endswith(FOOTER)


class Filling(io.BytesIO):
    """A file on a disk that is full after so many writes."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def write(self, content: Any, /) -> int:
        if not self.room:
            raise OSError(28, "No space left on device")
        self.room -= 1
        return super().write(content)


def test_a_full_disk_is_told_as_such_wherever_it_fills_up() -> None:
    whole = Filling(1000)
    write(hours(10), whole, marked=False, provenance={})

    for room in range(1000 - whole.room):
        out = Filling(room)
        with pytest.raises(OSError, match="No space left") as raised:
            write(hours(10), out, marked=False, provenance={})
        assert raised.value.errno == 28
        assert len(out.getvalue()) < len(whole.getvalue())


def test_an_instant_is_the_open_time_in_utc() -> None:
    table = written([Row(BTC, Candle(1_704_067_200_000, close=1.0))]).read()

    (opened,) = table["timestamp"].to_pylist()
    assert opened.isoformat() == "2024-01-01T00:00:00+00:00"
