"""Binance's archive: which file holds a window, when it is out, and what stands in it."""

from pathlib import Path

import pytest

from histq.errors import Misshapen, NotPublished
from histq.model import Interval, Market, Window
from histq.providers import Archive, Reply, providers
from tests.archived import zipped
from tests.providers import ask_for

_found = providers()["binance-archive"]
assert isinstance(_found, Archive)
ARCHIVE: Archive = _found

DAY = 86_400_000
JANUARY, FEBRUARY, MARCH = 1_704_067_200_000, 1_706_745_600_000, 1_709_251_200_000  # 2024
LATER = 1_720_000_000_000
BITCOIN = Market("BTCUSDT", "BTC", "USDT", "BTCUSDT")

HEADER = b"open_time,open,high,low,close,volume,close_time,quote_volume,count,a,b,ignore\n"
MILLISECONDS = (
    b"1704067200000,42283.58000000,42298.62000000,42261.02000000,42298.61000000,35.92724000,"
    b"1704067259999,1519032.75231300,1327,23.18766000,980394.29272130,0\n"
)
MICROSECONDS = (
    b"1704067200000000,42283.58000000,42298.62000000,42261.02000000,42298.61000000,35.92724000,"
    b"1704067259999999,1519032.75231300,1327,23.18766000,980394.29272130,0\n"
)


def files(start: int, end: int, interval: str = "1m", now: int = LATER) -> list[tuple[int, int]]:
    return [
        (file.start, file.end)
        for file in ARCHIVE.files(Window(start, end), Interval(interval), now)
    ]


def name(start: int, end: int, interval: str = "1m") -> str:
    return ARCHIVE.file_name(ask_for("binance", BITCOIN, interval, Window(start, end)))


def parsed(csv: bytes, start: int = JANUARY, end: int = FEBRUARY) -> list[tuple[object, ...]]:
    ask = ask_for("binance", BITCOIN, "1m", Window(start, end))
    candles = ARCHIVE.parse(zipped(csv, "BTCUSDT-1m-2024-01.csv"), ask)
    return [(c.timestamp, c.open, c.close, c.trades, c.close_time) for c in candles]


def test_months_are_taken_whole() -> None:
    assert files(JANUARY, MARCH) == [(JANUARY, FEBRUARY), (FEBRUARY, MARCH)]


def test_a_part_of_a_month_is_in_the_file_of_the_month() -> None:
    assert files(JANUARY + DAY, FEBRUARY) == [(JANUARY + DAY, FEBRUARY)]
    assert name(JANUARY + DAY, FEBRUARY) == "BTCUSDT-1m-2024-01.zip"


def test_a_part_of_a_day_is_in_the_file_of_the_day() -> None:
    assert files(JANUARY + 60_000, JANUARY + DAY) == [(JANUARY + 60_000, JANUARY + DAY)]
    assert name(JANUARY + 60_000, JANUARY + DAY) == "BTCUSDT-1m-2024-01-01.zip"


def test_a_month_of_seconds_is_taken_day_by_day() -> None:
    assert files(JANUARY, JANUARY + 2 * DAY, "1s") == [
        (JANUARY, JANUARY + DAY),
        (JANUARY + DAY, JANUARY + 2 * DAY),
    ]


@pytest.mark.parametrize(
    ("now", "whole"),
    [
        # The first Monday after January 2024 was the 5th; a day to publish it, and one more.
        pytest.param(FEBRUARY + 6 * DAY - 1, False, id="before"),
        pytest.param(FEBRUARY + 6 * DAY, True, id="after"),
    ],
)
def test_a_month_is_out_after_the_first_monday_of_the_next(now: int, whole: bool) -> None:
    found = files(JANUARY, FEBRUARY, now=now)

    assert len(found) == (1 if whole else 31)


def test_a_day_is_out_two_days_after_its_end() -> None:
    week = (JANUARY, JANUARY + 7 * DAY)

    assert len(files(*week, now=JANUARY + 8 * DAY - 1)) == 5
    assert len(files(*week, now=JANUARY + 8 * DAY)) == 6


@pytest.mark.parametrize("interval", ["3d", "1w", "1M"])
def test_what_is_longer_than_a_day_is_in_no_daily_file(interval: str) -> None:
    assert files(JANUARY, FEBRUARY, interval, now=FEBRUARY + DAY) == []
    assert files(JANUARY, FEBRUARY, interval) == [(JANUARY, FEBRUARY)]


def test_the_month_is_spelled_1mo() -> None:
    ask = ask_for("binance", BITCOIN, "1M", Window(JANUARY, FEBRUARY))

    path = "/data/spot/monthly/klines/BTCUSDT/1mo/BTCUSDT-1mo-2024-01.zip"
    assert ARCHIVE.request(ask).path == path
    assert ARCHIVE.checksum_request(ask).path == f"{path}.CHECKSUM"


def test_a_day_lies_in_the_daily_folder() -> None:
    ask = ask_for("binance", BITCOIN, "1m", Window(JANUARY, JANUARY + DAY))

    path = "/data/spot/daily/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01-01.zip"
    assert ARCHIVE.request(ask).path == path


ROW = (JANUARY, 42283.58, 42298.61, 1327, None)


@pytest.mark.parametrize(
    "csv",
    [
        pytest.param(MILLISECONDS, id="milliseconds"),
        pytest.param(MICROSECONDS, id="microseconds"),
        pytest.param(HEADER + MILLISECONDS, id="header"),
        pytest.param(MILLISECONDS.replace(b"\n", b"\r\n"), id="crlf"),
        pytest.param(MILLISECONDS.strip(), id="no last line end"),
    ],
)
def test_the_same_candle_is_read_however_it_is_written(csv: bytes) -> None:
    assert parsed(csv) == [ROW]


def test_both_units_may_stand_in_one_file() -> None:
    second = MICROSECONDS.replace(b"1704067200000000", b"1704067260000000")
    second = second.replace(b"1704067259999999", b"1704067319999999")

    assert parsed(MILLISECONDS + second) == [
        ROW,
        (JANUARY + 60_000, 42283.58, 42298.61, 1327, None),
    ]


def test_an_early_close_is_kept_to_the_millisecond() -> None:
    early = MICROSECONDS.replace(b"1704067259999999", b"1704067241646999")

    assert parsed(early) == [(*ROW[:4], 1_704_067_241_646)]


def test_a_file_with_a_header_alone_holds_no_candles() -> None:
    assert parsed(HEADER) == []


@pytest.mark.parametrize(
    "csv",
    [
        pytest.param(b"<html>busy</html>", id="html"),
        pytest.param(b"<html>\n" + MILLISECONDS, id="html above"),
        pytest.param(MILLISECONDS[:90], id="cut off in a row"),
        pytest.param(MILLISECONDS + b"1704067260000,1\n", id="a short row"),
        pytest.param(MILLISECONDS.replace(b"1327", b"many"), id="words"),
    ],
)
def test_a_file_that_holds_something_else_is_misshapen(csv: bytes) -> None:
    with pytest.raises(Misshapen, match=r"2024-01\.zip"):
        parsed(csv)


def test_a_zip_that_unpacks_to_more_than_a_file_can_hold_is_refused() -> None:
    ask = ask_for("binance", BITCOIN, "1m", Window(JANUARY, FEBRUARY))
    bomb = zipped(b"0" * (64 * 1024 * 1024 + 1), "BTCUSDT-1m-2024-01.csv")

    with pytest.raises(Misshapen, match="bytes in the zip"):
        ARCHIVE.parse(bomb, ask)


SHA = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"{SHA}  BTCUSDT-1m-2024-01.zip\n", id="as published"),
        pytest.param(f"{SHA.upper()} *BTCUSDT-1m-2024-01.zip", id="upper case, binary mark"),
    ],
)
def test_a_checksum_is_read(text: str) -> None:
    ask = ask_for("binance", BITCOIN, "1m", Window(JANUARY, FEBRUARY))

    assert ARCHIVE.checksum(text.encode(), ask) == SHA


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("<html>busy</html>", id="html"),
        pytest.param(f"{SHA[1:]}  BTCUSDT-1m-2024-01.zip\n", id="a digit short"),
        pytest.param(f"{SHA}  BTCUSDT-1m-2024-02.zip\n", id="of another file"),
    ],
)
def test_what_is_no_checksum_of_the_file_is_refused(text: str) -> None:
    ask = ask_for("binance", BITCOIN, "1m", Window(JANUARY, FEBRUARY))

    with pytest.raises(Misshapen, match="no checksum"):
        ARCHIVE.checksum(text.encode(), ask)


def test_a_file_that_is_not_there_is_not_published() -> None:
    ask = ask_for("binance", BITCOIN, "1m", Window(JANUARY, FEBRUARY))

    with pytest.raises(NotPublished, match=r"BTCUSDT-1m-2024-01\.zip"):
        ARCHIVE.check(Reply(404, {}, b"<Error/>"), ask)


def test_the_recorded_files_are_read_whole_on_both_sides_of_the_seam(realdata: Path) -> None:
    counts = {}
    for month, start, end in (
        ("2024-12", 1_733_011_200_000, 1_735_689_600_000),
        ("2025-01", 1_735_689_600_000, 1_738_368_000_000),
    ):
        csv = (realdata / f"binance/vision_spot_1h/BTCUSDT-1h-{month}.csv").read_bytes()
        ask = ask_for("binance", BITCOIN, "1h", Window(start, end))
        candles = ARCHIVE.parse(zipped(csv, "file.csv"), ask)
        counts[month] = len(candles)
        assert [candle.timestamp for candle in candles] == list(range(start, end, 3_600_000))
        assert {candle.close_time for candle in candles} == {None}

    assert counts == {"2024-12": 744, "2025-01": 744}


def test_a_recorded_file_with_a_header_keeps_its_hole_and_its_early_close(realdata: Path) -> None:
    file = realdata / "binance/vision_spot_1h_2023_header/BTCUSDT-1h-2023-03.csv"
    ask = ask_for("binance", BITCOIN, "1h", Window(1_677_628_800_000, 1_680_307_200_000))

    candles = ARCHIVE.parse(zipped(file.read_bytes(), "file.csv"), ask)

    assert len(candles) == 743
    (halted,) = [candle for candle in candles if candle.close_time is not None]
    assert (halted.timestamp, halted.close_time) == (1_679_659_200_000, 1_679_661_581_646)
