"""chart: prices and coverage of one series in the terminal."""

from pathlib import Path

import pytest

from histq.db import Database
from histq.model import DAY_MS, HOUR_MS, Candle, Series, Span, State
from histq.page import flatten
from histq.stores.sqlite import SqliteStore
from tests.conftest import Histq
from tests.stores import BTC, ETH

JANUARY = 1_704_067_200_000  # 2024-01-01
ESCAPE = "\x1b"


def hourly(*runs: range) -> list[Candle]:
    """Closes that rise by one an hour from 100, with a peak of 500 at hour 30."""
    return [
        Candle(
            JANUARY + hour * HOUR_MS,
            open=100.0 + hour,
            high=500.0 if hour == 30 else 101.0 + hour,
            low=99.0 + hour,
            close=100.5 + hour,
        )
        for run in runs
        for hour in run
    ]


@pytest.fixture
def prices(place: Path) -> Path:
    """Two days of BTCUSDT, half a day missing, half a day confirmed empty, and some of ETHUSDT."""
    with Database.open(place / "histq.db") as database:
        store = SqliteStore(database, clock=lambda: 0)
        store.write(BTC, flatten(hourly(range(12), range(24, 60))))
        store.record(
            BTC,
            [
                Span(JANUARY, JANUARY + 12 * HOUR_MS, State.STORED),
                Span(JANUARY + 12 * HOUR_MS, JANUARY + 18 * HOUR_MS, State.FAILED),
                Span(JANUARY + 18 * HOUR_MS, JANUARY + 24 * HOUR_MS, State.EMPTY, 2),
                Span(JANUARY + 24 * HOUR_MS, JANUARY + 60 * HOUR_MS, State.STORED),
            ],
        )
        store.write(ETH, flatten(hourly(range(3))))
        store.record(ETH, [Span(JANUARY, JANUARY + 3 * HOUR_MS, State.STORED)])
    return place


def test_chart_states_open_high_low_and_close_with_their_times(histq: Histq, prices: Path) -> None:
    ended = histq("chart", "BTC", COLUMNS="80")

    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == ("binance/BTCUSDT/1h  48 candles, 2024-01-01 to 2024-01-03T12:00Z, UTC")
    assert lines[1].split() == ["open", "100", "2024-01-01", "high", "500", "2024-01-02T06:00Z"]
    assert lines[2].split() == [
        *("close", "159.5", "2024-01-03T11:00Z"),
        *("low", "99", "2024-01-01"),
    ]


def test_the_heat_map_tells_by_sign_what_is_lacking(histq: Histq, prices: Path) -> None:
    lines = histq("chart", "BTC", COLUMNS="80").out.splitlines()

    first = next(line for line in lines if line.startswith("2024-01-01 "))
    assert first == "2024-01-01 " + "█" * 24 + "x" * 12 + "░" * 12 + "   66.67 %"
    assert lines[-1] == "█ complete   ░ confirmed empty   x lacking"


@pytest.mark.parametrize("width", [50, 80, 160, 300])
def test_a_chart_is_as_wide_as_the_terminal(width: int, histq: Histq, prices: Path) -> None:
    lines = histq("chart", "BTC", COLUMNS=str(width)).out.splitlines()

    ruler = next(line for line in lines if "└" in line)
    assert len(ruler) == width
    assert max(len(line) for line in lines[4:]) == width


def test_height_counts_the_lines_of_the_plot(histq: Histq, prices: Path) -> None:
    lines = histq("chart", "BTC", "--height", "5").out.splitlines()

    assert sum("│" in line or "┤" in line for line in lines) == 5


def test_a_pipe_gets_no_colours(histq: Histq, prices: Path) -> None:
    assert ESCAPE not in histq("chart", "BTC").out
    assert ESCAPE in histq("chart", "BTC", FORCE_COLOR="1").out


def test_a_terminal_without_unicode_gets_ascii(histq: Histq, prices: Path) -> None:
    ended = histq("chart", "BTC", PYTHONIOENCODING="ascii")

    assert ended.code == 0
    assert ended.out.isascii()
    assert "# complete   . confirmed empty   x lacking" in ended.out


def test_a_symbol_that_ascii_lacks_is_no_trouble(histq: Histq, prices: Path) -> None:
    series = Series("binance", "币安人生USDT", "1m")
    with Database.open(prices / "histq.db") as database:
        store = SqliteStore(database, clock=lambda: 0)
        store.write(series, flatten(hourly(range(1))))
        store.record(series, [Span(JANUARY, JANUARY + 60_000, State.STORED)])

    ended = histq("chart", "-i", "1m", PYTHONIOENCODING="ascii")

    assert ended.code == 0, ended.err
    assert ended.out.startswith("binance/\\u5e01\\u5b89\\u4eba\\u751fUSDT/1m  1 candle,")


def test_the_document_has_the_figures_that_are_drawn(histq: Histq, prices: Path) -> None:
    found = histq("chart", "BTC", "--json", COLUMNS="80").document

    assert (found["source"], found["symbol"], found["interval"]) == BTC
    assert (found["start"], found["end"]) == (JANUARY, JANUARY + 60 * HOUR_MS)
    assert found["candles"] == 48
    assert found["high"] == {"timestamp": JANUARY + 30 * HOUR_MS, "price": 500.0}
    assert found["low"] == {"timestamp": JANUARY, "price": 99.0}
    assert len(found["bins"]) == 48
    assert found["bins"][12] == {
        **{"start": JANUARY + 24 * HOUR_MS, "end": JANUARY + 25 * HOUR_MS, "candles": 1},
        **{"first": JANUARY + 24 * HOUR_MS, "last": JANUARY + 24 * HOUR_MS},
        **{"open": 124.0, "high": 125.0, "low": 123.0, "close": 124.5},
    }
    assert found["blanks"] == [
        {
            "start": JANUARY + 18 * HOUR_MS,
            "end": JANUARY + 24 * HOUR_MS,
            "look": "confirmed empty",
        },
        {"start": JANUARY + 12 * HOUR_MS, "end": JANUARY + 18 * HOUR_MS, "look": "lacking"},
    ]
    rows = found["coverage"]["rows"]
    assert [row["label"] for row in rows] == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert rows[0]["cells"][12] == {
        **{"start": JANUARY + 12 * HOUR_MS, "end": JANUARY + 13 * HOUR_MS, "slots": 1},
        **{"stored": 0, "queued": 0, "accepted": 0, "lacking": 1, "look": "lacking"},
    }


def test_from_and_to_narrow_the_chart(histq: Histq, prices: Path) -> None:
    bounds = ("--from", "2024-01-02", "--to", "2024-01-02T06:00Z")

    found = histq("chart", "BTC", *bounds, "--json").document

    assert (found["start"], found["end"]) == (JANUARY + DAY_MS, JANUARY + 30 * HOUR_MS)
    assert (found["candles"], found["high"]["price"]) == (6, 130.0)


def test_a_time_without_candles_has_a_heat_map_alone(histq: Histq, prices: Path) -> None:
    bounds = ("--from", "2024-01-01T12:00Z", "--to", "2024-01-01T20:00Z")

    ended = histq("chart", "BTC", *bounds, COLUMNS="80")

    assert ended.code == 0
    assert "0 candles" in ended.out
    assert "└" not in ended.out
    assert "2024-01-01 " + " " * 24 + "x" * 12 + "░" * 4 in ended.out


def test_a_long_history_is_drawn_in_few_bins(histq: Histq, place: Path) -> None:
    minutes = Series("binance", "BTCUSDT", "1m")
    told = [Candle(minute * 60_000, close=float(minute % 1000)) for minute in range(20_000)]
    with Database.open(place / "histq.db") as database:
        store = SqliteStore(database, clock=lambda: 0)
        store.write(minutes, flatten(told))
        store.record(minutes, [Span(0, 20_000 * 60_000, State.STORED)])

    found = histq("chart", "--json", COLUMNS="80").document

    assert len(found["bins"]) == 160
    assert sum(one["candles"] for one in found["bins"]) == 20_000
    assert found["high"] == {"timestamp": 999 * 60_000, "price": 999.0}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("chart", "one series at a time, and these match: binance/BTCUSDT/1h, binance/ETHUSDT/1h;"),
        ("chart BTC ETH", "choose with -s and -i"),
        ("chart DOGE", "no such series in this database"),
        ("chart BTC --from 2024-02-01", "is known for 2024-01-01..2024-01-03T12:00Z only"),
        ("chart BTC --from soon", "--from 'soon' is no date"),
        ("chart BTC --height 2", "--height"),
    ],
)
def test_what_cannot_be_drawn_is_a_mistake(
    arguments: str, told: str, histq: Histq, prices: Path
) -> None:
    ended = histq(*arguments.split())

    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1


def test_an_empty_database_has_no_chart(histq: Histq, place: Path) -> None:
    Database.open(place / "histq.db").close()

    ended = histq("chart")

    assert (ended.code, ended.err) == (2, "histq: no series yet; histq fetch gets some\n")


def test_without_a_database_there_is_no_chart(histq: Histq) -> None:
    assert histq("chart").code == 10
