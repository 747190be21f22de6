"""Reading candles out of a user's files: layouts, units of time, names, pages."""

import pytest

from histq.errors import Poison, Usage
from histq.importing import (
    Page,
    csv_rows,
    instant,
    interval_of,
    named,
    pages,
    refuse_other_length,
    symbol_of,
    table_columns,
    table_rows,
)
from histq.model import Candle, Interval, Series, Window

HOUR = 3_600_000
BTC = Series("binance", "BTCUSDT", "1h")
SPOT = Series("coingecko", "BTCUSD", "spot")
HEADER = (
    "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,"
    "taker_buy_quote_volume,ignore"
)
IN_MS = "1733011200000,3,4,2,3.5,10,1733014799999,35,7,5,17,0"
IN_US = "1735689600000000,3,4,2,3.5,10,1735693199999999,35,7,5,17,0"
TABLE = ("symbol", "timestamp", "open", "high", "low", "close", "volume", "source")


def candles(*lines: str) -> list[Candle]:
    return [candle for _, candle in csv_rows(lines, "x.csv", BTC)]


def at(*slots: float) -> list[tuple[Series, Candle]]:
    return [(BTC, Candle(round(slot * HOUR), close=1.0)) for slot in slots]


def shape(found: list[Page]) -> list[tuple[float, float, int]]:
    """(start, end) in hours, and how many candles."""
    return [(page.window.start / HOUR, page.window.end / HOUR, len(page.candles)) for page in found]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param("BTCUSDT-1h-2024-11.csv", ("BTCUSDT", "1h"), id="month"),
        pytest.param("ADABTC-1m-2021-11-27.csv", ("ADABTC", "1m"), id="day"),
        pytest.param("1INCHUSDT-1mo-2024-11.csv", ("1INCHUSDT", "1mo"), id="by month"),
        pytest.param("NEARUSDT-1m-2025-09.first2000.csv", ("NEARUSDT", "1m"), id="renamed"),
        pytest.param("BTCUSDT-1d.csv", ("BTCUSDT", "1d"), id="no date"),
        pytest.param("prices.csv", None, id="says nothing"),
        pytest.param("BTCUSDT-trades-2024-11.csv", None, id="no candles"),
    ],
)
def test_a_file_name_tells_symbol_and_interval(name: str, expected: tuple[str, str] | None) -> None:
    assert named(name) == expected


def test_the_archives_month_is_ours() -> None:
    assert interval_of("1mo") == Interval("1M")
    assert interval_of("1m") == Interval("1m")


def test_a_symbol_loses_its_separator() -> None:
    assert [symbol_of(text) for text in ("btc/usdt", "BTC-USDT", " BTCUSDT")] == ["BTCUSDT"] * 3


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(1_733_011_200, id="seconds"),
        pytest.param(1_733_011_200_000, id="milliseconds"),
        pytest.param(1_733_011_200_000_000, id="microseconds"),
        pytest.param("1733011200000", id="text"),
        pytest.param(1_733_011_200.0, id="real"),
        pytest.param("1.7330112E+12", id="spreadsheet"),
    ],
)
def test_an_instant_tells_its_unit_by_its_size(value: str | float) -> None:
    assert instant(value) == 1_733_011_200_000


@pytest.mark.parametrize("value", ["", None, 0, -5, "2024-01-01", "nan", 1_733_011_200 * 10**9])
def test_what_is_no_instant_is_refused(value: str | float | None) -> None:
    with pytest.raises(ValueError, match=r"no time in seconds|could not convert"):
        instant(value)


def test_a_line_of_the_archive_is_a_whole_candle() -> None:
    assert candles(IN_MS) == [
        Candle(
            1_733_011_200_000,
            open=3.0,
            high=4.0,
            low=2.0,
            close=3.5,
            volume=10.0,
            quote_volume=35.0,
            trades=7,
            taker_buy_volume=5.0,
            taker_buy_quote_volume=17.0,
        )
    ]


def test_microseconds_become_milliseconds_and_a_regular_close_nothing() -> None:
    (candle,) = candles(IN_US)

    assert (candle.timestamp, candle.close_time) == (1_735_689_600_000, None)


def test_an_early_close_is_kept() -> None:
    (candle,) = candles(IN_MS.replace("1733014799999", "1733012345678"))

    assert candle.close_time == 1_733_012_345_678


def test_a_header_is_read_over() -> None:
    assert candles(HEADER, IN_MS) == candles(IN_MS)
    assert candles(HEADER.replace("open_time", "Open time"), IN_MS) == candles(IN_MS)


def test_what_is_not_said_is_none() -> None:
    (candle,) = candles("1733011200000,3,4,2,,10,,35,,5,17,0")

    assert (candle.close, candle.close_time, candle.trades) == (None, None, None)


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param(["Date," + HEADER], "line 1: the first column is 'Date'", id="Date"),
        pytest.param(["2017-08-17," + IN_MS], "line 1: 13 columns", id="a date first"),
        pytest.param([HEADER + ",more"], "line 1: 13 columns", id="wide header"),
        pytest.param([IN_MS, "17330148"], "line 2: 1 columns", id="cut off"),
        pytest.param([IN_MS, IN_MS, "x" + IN_MS[1:]], "line 3: could not", id="no time"),
        pytest.param([IN_MS.replace("3.5", "n/a")], "line 1: could not", id="no number"),
        pytest.param([IN_MS.replace(",7,", ",7.5,")], "line 1: '7.5' is no", id="no trades"),
    ],
)
def test_a_line_of_another_layout_is_refused_with_its_number(lines: list[str], said: str) -> None:
    with pytest.raises(Poison, match=f"^x.csv: {said}"):
        candles(*lines)


def test_candles_of_another_length_are_refused() -> None:
    hours = [Candle(slot * HOUR, close=1.0, close_time=(slot + 1) * HOUR - 1) for slot in (0, 1)]

    with pytest.raises(Usage, match="last 3,600 s, a candle of 1d does not"):
        refuse_other_length(hours, Interval("1d"), "x.csv")

    refuse_other_length(hours[:1], Interval("1d"), "x.csv")


def test_a_table_must_have_the_columns_and_may_have_more() -> None:
    assert table_columns("t", ["id", *TABLE, "Interval"]) == [*TABLE, "interval"]
    with pytest.raises(Usage, match="table t has no column volume; it has symbol, timestamp"):
        table_columns("t", ["symbol", "timestamp", "open", "high", "low", "close", "source"])


def test_a_tables_rows_name_their_series() -> None:
    rows: list[tuple[str | int | float | None, ...]] = [
        ("btc/usdt", 1_704_067_200, 3, "4", 2, 3.5, None, "Binance"),
        ("ETHUSDT", 1_704_067_200, 3, 4, 2, 3.5, 10, "binance"),
    ]

    found = list(table_rows(rows, TABLE, "t", lambda s: s == BTC, Interval("1h")))

    assert found == [(BTC, Candle(1_704_067_200_000, open=3, high=4, low=2, close=3.5))]


def test_the_interval_column_decides() -> None:
    rows = [("BTCUSDT", 1_704_067_200, 3, 4, 2, 3.5, 10, "binance", "1mo")]

    ((series, _),) = table_rows(rows, (*TABLE, "interval"), "t", lambda _: True, Interval("1h"))

    assert series.interval == "1M"


def test_a_row_without_a_time_is_refused_with_its_number() -> None:
    rows = [
        ("BTCUSDT", 1_704_067_200, 3, 4, 2, 3.5, 10, "binance"),
        ("BTCUSDT", None, 3, 4, 2, 3.5, 10, "binance"),
    ]

    with pytest.raises(Poison, match=r"^t: row 2 by symbol and time: None is no time"):
        list(table_rows(rows, TABLE, "t", lambda _: True, Interval("1h")))


def test_a_page_is_a_thousand_candles_and_reaches_from_first_to_last() -> None:
    found = list(pages(at(*range(1, 1003), 1005)))

    assert shape(found) == [(1, 1001, 1000), (1001, 1006, 3)]


def test_candles_off_the_grid_lie_in_their_slots() -> None:
    assert shape(list(pages(at(1.5, 2, 3.25)))) == [(1, 4, 3)]


def test_a_new_series_begins_a_new_page() -> None:
    other = [(BTC._replace(symbol="ETHUSDT"), Candle(0, close=1.0))]

    assert [page.series.symbol for page in pages([*at(1), *other, *at(2)])] == [
        "BTCUSDT",
        "ETHUSDT",
        "BTCUSDT",
    ]


def test_what_comes_in_any_order_leaves_in_order_and_a_repeat_on_its_own_page() -> None:
    found = list(pages(at(3, 1, 2, 1, 1)))

    assert [[c.timestamp // HOUR for c in page.candles] for page in found] == [[1, 2, 3], [1], [1]]


def test_without_a_grid_a_page_ends_where_an_hour_is_empty() -> None:
    rows = [(SPOT, candle) for _, candle in at(0.1, 1.2, 1.3, 3.5, 4)]

    found = list(pages(rows))

    assert [page.window for page in found] == [Window(0, 2 * HOUR), Window(3 * HOUR, 5 * HOUR)]


def test_what_came_before_an_error_is_told_first() -> None:
    found = pages(csv_rows([IN_MS, "broken"], "x.csv", BTC))

    assert len(next(found).candles) == 1
    with pytest.raises(Poison):
        next(found)
