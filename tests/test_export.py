"""Prices on their way out: text of a row, buckets, stand-ins, files that are whole or absent."""

import csv
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histq.errors import Config, DiskFull, Stopped, Usage
from histq.export import (
    Bucket,
    Fill,
    Format,
    Row,
    fill,
    lines,
    refuse_filling,
    refuse_resampling,
    resample,
)
from histq.model import DAY_MS, HOUR_MS, Candle, Interval, Series, Window
from histq.pipeline.export import Export, Shape, refuse_replacing, replacing
from histq.stop import Stop
from tests.stores import BACK_ENDS, BTC, ETH, Bench, candle, page

HOUR, DAY, MONTH = Interval("1h"), Interval("1d"), Interval("1M")
EVER = Window(0, 2**63 - 1)
HEADER = (
    b"source,symbol,interval,timestamp,open,high,low,close,volume,quote_volume,trades,"
    b"taker_buy_volume,taker_buy_quote_volume,close_time"
)
FULL = Candle(3_600_000, 3.0, 4.5, 2.0, 3.5, 10.0, 35.0, 7, 5.0, 17.25, 7_199_998)
JANUARY = 1_704_067_200_000  # 2024-01-01


def text(rows: Sequence[Row], format_: Format, *, marked: bool = False) -> bytes:
    return b"".join(lines(rows, format_, marked=marked))


def test_a_csv_row_has_every_column_of_the_candle() -> None:
    found = text([Row(BTC, FULL)], Format.CSV)

    assert found == (
        HEADER + b"\nbinance,BTCUSDT,1h,3600000,3.0,4.5,2.0,3.5,10.0,35.0,7,5.0,17.25,7199998\n"
    )


def test_what_was_not_told_is_empty_in_csv_and_null_in_json() -> None:
    told = [Row(BTC, Candle(0, close=1.5))]

    assert text(told, Format.CSV) == HEADER + b"\nbinance,BTCUSDT,1h,0,,,,1.5,,,,,,\n"
    assert json.loads(text(told, Format.JSONL)) == {
        **{"source": "binance", "symbol": "BTCUSDT", "interval": "1h", "timestamp": 0},
        **{"open": None, "high": None, "low": None, "close": 1.5, "volume": None},
        **{"quote_volume": None, "trades": None, "taker_buy_volume": None},
        **{"taker_buy_quote_volume": None, "close_time": None},
    }


def test_no_rows_are_a_header_in_csv_and_nothing_in_json() -> None:
    assert text([], Format.CSV) == HEADER + b"\n"
    assert text([], Format.JSONL) == b""


def test_filled_rows_are_marked() -> None:
    rows = [Row(BTC, candle(0)), Row(BTC, candle(1), filled=True)]

    marks = [line.rpartition(b",")[2] for line in text(rows, Format.CSV, marked=True).splitlines()]
    told = [json.loads(line) for line in text(rows, Format.JSONL, marked=True).splitlines()]

    assert marks == [b"filled", b"0", b"1"]
    assert [row["filled"] for row in told] == [False, True]


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_number_reads_back_as_the_same_double(value: float) -> None:
    rows = [Row(BTC, Candle(0, close=value))]

    table = csv.DictReader(text(rows, Format.CSV).decode().splitlines())

    assert [float(row["close"]) for row in table] == [value]
    assert json.loads(text(rows, Format.JSONL))["close"] == value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("x.csv", Format.CSV),
        ("x.jsonl", Format.JSONL),
        ("X.NDJSON", Format.JSONL),
        ("x.parquet", Format.PARQUET),
        ("x.pq", Format.PARQUET),
        ("x.txt", Format.CSV),
        ("", Format.CSV),
    ],
)
def test_the_ending_of_a_file_says_the_format(name: str, expected: Format) -> None:
    assert Format.of(name) is expected


def test_a_bucket_is_first_highest_lowest_last_and_sums() -> None:
    fine = [
        Candle(0, 3.0, 4.0, 2.0, 3.5, 0.1, 1.0, 7, 0.5, 2.0, 3_599_998),
        Candle(HOUR_MS, 3.5, 9.0, 3.0, 8.0, 0.2, 2.0, 1, 0.25, 3.0),
        Candle(2 * HOUR_MS, 8.0, 8.5, 1.0, 1.5, 0.0, 4.0, 0, 0.0, 4.0),
    ]

    found = list(resample(fine, HOUR, DAY))

    merged = Candle(0, 3.0, 9.0, 1.0, 1.5, 0.3, 7.0, 8, 0.75, 9.0)
    assert found == [Bucket(merged, complete=False)]


def test_a_figure_that_one_candle_lacks_the_bucket_lacks() -> None:
    closes_only = Candle(HOUR_MS, close=2.5)
    early = Candle(0, 3.0, 4.0, 2.0, 3.5, 10.0, 35.0, 7, 5.0, 17.0)
    late = Candle(2 * HOUR_MS, 3.0, 4.0, 2.0, 3.5, 10.0, 35.0, 7, 5.0, 17.0)

    (before,) = resample([closes_only, late], HOUR, DAY)
    (after,) = resample([early, closes_only], HOUR, DAY)

    assert before.candle == Candle(0, close=3.5)
    assert after.candle == Candle(0, open=3.0, close=2.5)


def test_tenths_add_up_to_the_whole() -> None:
    fine = [Candle(hour * HOUR_MS, close=1.0, volume=0.1) for hour in range(10)]

    (bucket,) = resample(fine, HOUR, DAY)

    assert bucket.candle.volume == 1.0


@pytest.mark.parametrize(
    ("absent", "complete"),
    [([], True), ([0], False), ([11], False), ([23], False)],
    ids=["whole", "first hour", "an hour within", "last hour"],
)
def test_a_bucket_is_complete_when_every_slot_is_there(absent: list[int], complete: bool) -> None:
    fine = [candle(hour) for hour in range(24) if hour not in absent]

    assert [bucket.complete for bucket in resample(fine, HOUR, DAY)] == [complete]


def test_two_candles_of_one_slot_do_not_stand_for_a_missing_one() -> None:
    fine = [candle(hour) for hour in range(23)] + [candle(22.5)]

    assert [bucket.complete for bucket in resample(fine, HOUR, DAY)] == [False]


def test_months_have_their_own_lengths() -> None:
    days = [Candle(JANUARY + day * DAY_MS, close=1.0) for day in range(31 + 29 + 30)]

    found = list(resample(days, DAY, MONTH))

    assert [(one.candle.timestamp, one.complete) for one in found] == [
        (1_704_067_200_000, True),  # 2024-01-01
        (1_706_745_600_000, True),  # 2024-02-01, a leap year
        (1_709_251_200_000, False),  # 2024-03-01, without its 31st
    ]


def test_a_bucket_without_candles_is_absent() -> None:
    found = resample([candle(0), candle(49)], HOUR, DAY)

    assert [bucket.candle.timestamp for bucket in found] == [0, 2 * DAY_MS]


def test_the_hours_of_a_provider_add_up_to_its_days(realdata: Path) -> None:
    hours: list[Candle] = []
    for month in ("2025-02", "2025-03", "2025-04", "2025-05"):
        file = realdata / "binance" / "vision_spot_1h" / f"BTCUSDT-1h-{month}.csv"
        hours += [recorded(row) for row in csv.reader(file.read_text().splitlines())]
    reply = "klines_BTCUSDT_1d_20250216-20250615_lastopen.json"
    told = json.loads((realdata / "binance" / "rest_json" / reply).read_text())
    days = [day for row in told if (day := recorded(row)).timestamp <= hours[-1].timestamp]

    merged = [bucket.candle for bucket in resample(hours, HOUR, DAY) if bucket.complete]

    assert len(days) == 105
    assert merged[-105:] == days


def recorded(row: list[str]) -> Candle:
    """Of the archive or the API: microseconds or milliseconds."""
    opened = int(row[0]) // (1000 if len(str(row[0])) > 13 else 1)
    open_, high, low, close, volume = map(float, row[1:6])
    quote, trades, taker, taker_quote = float(row[7]), int(row[8]), float(row[9]), float(row[10])
    return Candle(opened, open_, high, low, close, volume, quote, trades, taker, taker_quote)


@pytest.mark.parametrize(
    ("fine", "coarse"),
    [("1m", "1h"), ("1h", "1d"), ("1h", "1M"), ("1d", "1M"), ("12h", "3d"), ("1d", "1w")],
)
def test_a_multiple_can_be_made(fine: str, coarse: str) -> None:
    refuse_resampling(BTC._replace(interval=fine), Interval(coarse))


@pytest.mark.parametrize(
    ("fine", "coarse"),
    [
        ("1d", "1h"),
        ("8h", "12h"),
        ("3d", "1w"),
        ("3d", "1M"),
        ("1w", "1M"),
        ("1w", "3d"),
        ("1M", "1d"),
        ("spot", "1d"),
        ("1h", "spot"),
    ],
)
def test_what_is_no_multiple_is_refused(fine: str, coarse: str) -> None:
    with pytest.raises(Usage, match=f"binance/BTCUSDT/{fine} cannot be resampled to {coarse}"):
        refuse_resampling(BTC._replace(interval=fine), Interval(coarse))


def test_the_last_close_stands_in_for_a_missing_slot() -> None:
    told = [Candle(0, 3.0, 4.0, 2.0, 3.5, 10.0), Candle(3 * HOUR_MS, 5.0, 6.0, 4.0, 5.5, 1.0)]

    found = list(fill(told, HOUR, Fill.FFILL))

    assert found == [
        (told[0], False),
        (Candle(3_600_000, 3.5, 3.5, 3.5, 3.5, 0.0, 0.0, 0, 0.0, 0.0), True),
        (Candle(7_200_000, 3.5, 3.5, 3.5, 3.5, 0.0, 0.0, 0, 0.0, 0.0), True),
        (told[1], False),
    ]


def test_nulls_stand_in_for_a_missing_slot() -> None:
    found = list(fill([candle(0), candle(2)], HOUR, Fill.NULL))

    assert found == [(candle(0), False), (Candle(3_600_000), True), (candle(2), False)]


def test_nothing_stands_in_unless_asked() -> None:
    assert list(fill([candle(0), candle(2)], HOUR, Fill.NONE)) == [
        (candle(0), False),
        (candle(2), False),
    ]


def test_a_candle_off_the_grid_fills_its_slot() -> None:
    found = fill([candle(0), candle(1.5), candle(2)], HOUR, Fill.NULL)

    assert [filled for _, filled in found] == [False, False, False]


def test_missing_months_are_months() -> None:
    told = [Candle(JANUARY, close=1.0), Candle(1_711_929_600_000, close=1.0)]  # 2024-04-01

    found = fill(told, MONTH, Fill.NULL)

    assert [one.timestamp for one, filled in found if filled] == [
        1_706_745_600_000,  # 2024-02-01
        1_709_251_200_000,  # 2024-03-01
    ]


def test_without_a_grid_there_is_nothing_to_fill() -> None:
    with pytest.raises(Usage, match="coingecko/BTCUSD/spot has no grid to fill"):
        refuse_filling(Series("coingecko", "BTCUSD", "spot"))


@pytest.fixture(params=BACK_ENDS)
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench()
    with BACK_ENDS[request.param](bench, tmp_path):
        yield bench


def exported(bench: Bench, chosen: Sequence[Series], shape: Shape, file: Path) -> Export:
    job = Export(bench.store, chosen, shape)
    with replacing(file) as out:
        job.write(out, Stop())
    return job


def test_series_follow_each_other_each_in_order(bench: Bench, tmp_path: Path) -> None:
    bench.store.write(ETH, page(1))
    bench.store.write(BTC, page(2, 0))

    job = exported(bench, [BTC, ETH], Shape(EVER, Format.JSONL), tmp_path / "x.jsonl")

    rows = [json.loads(line) for line in (tmp_path / "x.jsonl").read_text().splitlines()]
    assert [(row["symbol"], row["timestamp"] // HOUR_MS) for row in rows] == [
        ("BTCUSDT", 0),
        ("BTCUSDT", 2),
        ("ETHUSDT", 1),
    ]
    assert job.rows == 3


def days(file: Path) -> list[tuple[str, int, str]]:
    """(interval, day, filled) of each row; not filled where there is no such column."""
    table = csv.DictReader(file.read_text().splitlines())
    return [
        (row["interval"], int(row["timestamp"]) // DAY_MS, row.get("filled", "")) for row in table
    ]


def test_incomplete_buckets_are_left_out_and_counted(bench: Bench, tmp_path: Path) -> None:
    bench.store.write(BTC, page(*range(20, 48), *range(50, 72), *range(72, 96)))

    job = exported(bench, [BTC], Shape(EVER, coarse=DAY), tmp_path / "x.csv")

    assert days(tmp_path / "x.csv") == [("1d", 1, ""), ("1d", 3, "")]
    assert (job.rows, job.left_out) == (2, 2)


def test_incomplete_buckets_are_written_when_asked(bench: Bench, tmp_path: Path) -> None:
    bench.store.write(BTC, page(*range(20, 48)))

    job = exported(bench, [BTC], Shape(EVER, coarse=DAY, incomplete=True), tmp_path / "x.csv")

    assert days(tmp_path / "x.csv") == [("1d", 0, ""), ("1d", 1, "")]
    assert (job.rows, job.left_out) == (2, 0)


def test_buckets_left_out_can_be_filled_and_are_marked(bench: Bench, tmp_path: Path) -> None:
    bench.store.write(BTC, page(*range(24), *range(25, 72)))

    exported(bench, [BTC], Shape(EVER, coarse=DAY, fill=Fill.FFILL), tmp_path / "x.csv")

    assert days(tmp_path / "x.csv") == [("1d", 0, "0"), ("1d", 1, "1"), ("1d", 2, "0")]


def test_two_series_do_not_become_one(bench: Bench) -> None:
    both = [BTC, BTC._replace(interval="1m")]

    with pytest.raises(Usage, match="BTCUSDT/1h and binance/BTCUSDT/1m both become 1d; choose"):
        Export(bench.store, both, Shape(EVER, coarse=DAY))


def test_a_series_without_a_grid_is_not_filled(bench: Bench) -> None:
    with pytest.raises(Usage, match="no grid"):
        Export(bench.store, [BTC._replace(interval="spot")], Shape(EVER, fill=Fill.NULL))


def test_a_stop_leaves_the_old_file_and_nothing_else(bench: Bench, tmp_path: Path) -> None:
    bench.store.write(BTC, page(1, 2))
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "x.csv").write_text("old")
    stop = Stop()
    stop.set()

    job = Export(bench.store, [BTC], Shape(EVER))
    with pytest.raises(Stopped), replacing(folder / "x.csv") as out:
        job.write(out, stop)

    assert {file.name: file.read_text() for file in folder.iterdir()} == {"x.csv": "old"}


def test_nothing_is_there_before_the_whole_is(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"

    with replacing(file) as out:
        out.write(b"half")
        out.flush()
        assert not file.exists()

    assert [one.name for one in tmp_path.iterdir()] == ["x.csv"]
    assert file.read_bytes() == b"half"


def test_through_a_link_the_file_is_replaced_and_the_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")

    with replacing(tmp_path / "link.csv") as out:
        out.write(b"new")

    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() == "new"


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)

    with replacing(pipe) as out:
        out.write(b"row")

    assert os.read(reader, 10) == b"row"
    os.close(reader)
    assert pipe.is_fifo()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_told_as_one() -> None:
    with (
        pytest.raises(DiskFull, match="writing /dev/full: No space left on device; free some room"),
        replacing(Path("/dev/full")) as out,
    ):
        out.write(b"row")


def test_a_name_that_no_file_can_have_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(Config, match="File name too long; name a file"),
        replacing(tmp_path / ("x" * 250)),
    ):
        pass


def test_what_must_not_be_replaced_is_refused(tmp_path: Path) -> None:
    file, database = tmp_path / "x.csv", tmp_path / "histq.db"
    file.touch()
    database.touch()
    (tmp_path / "link.csv").symlink_to(database)

    def refusal(path: Path, force: bool) -> str:
        with pytest.raises(Usage) as refused:
            refuse_replacing(path, force=force, databases=[database])
        return str(refused.value)

    refuse_replacing(file, force=True, databases=[database])
    refuse_replacing(tmp_path / "new.csv", force=False, databases=[database])
    assert refusal(file, force=False) == f"{file} exists already; --force replaces it"
    assert "is a folder; name a file in it" in refusal(tmp_path, force=True)
    assert "there is no folder" in refusal(tmp_path / "no" / "x.csv", force=True)
    assert "is the database itself" in refusal(database, force=True)
    assert "is the database itself" in refusal(tmp_path / "link.csv", force=True)
