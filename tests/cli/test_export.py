"""export: stored prices on stdout or in a file, and what it refuses."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from histq.db import Database
from histq.model import Series
from histq.stores.sqlite import SqliteStore
from tests.conftest import Histq
from tests.stores import BTC, ETH, page

HEADER = (
    "source,symbol,interval,timestamp,open,high,low,close,volume,quote_volume,trades,"
    "taker_buy_volume,taker_buy_quote_volume,close_time\n"
)


@pytest.fixture
def prices(place: Path) -> Path:
    """The hours 0 to 23, 25 and 26 of BTCUSDT, and one of ETHUSDT."""
    with Database.open(place / "histq.db") as database:
        store = SqliteStore(database, clock=lambda: 0)
        store.write(BTC, page(*range(24), 25, 26))
        store.write(ETH, page(1))
    return place


def test_export_writes_csv_to_stdout_and_nothing_else(histq: Histq, prices: Path) -> None:
    ended = histq("export", "ETH", "--from", "1970-01-01", "--to", "1970-01-02")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out == HEADER + "binance,ETHUSDT,1h,3600000,,,,1.5,,,,,,\n"


def test_from_is_inclusive_and_to_is_not(histq: Histq, prices: Path) -> None:
    ended = histq("export", "BTC", "--from", "1970-01-01T22:00Z", "--to", "1970-01-02T02:00Z")

    hours = [int(line.split(",")[3]) // 3_600_000 for line in ended.out.splitlines()[1:]]
    assert hours == [22, 23, 25]


def test_a_file_has_the_format_of_its_ending(histq: Histq, prices: Path) -> None:
    ended = histq("export", "BTC", "ETH", "-s", "binance", "-i", "1h", "-o", "x.jsonl")

    written = (prices / "x.jsonl").read_text().splitlines()
    assert (ended.code, ended.out) == (0, "")
    assert ended.err == "wrote 27 rows to x.jsonl\n"
    assert len(written) == 27
    assert written[0].startswith('{"source":"binance","symbol":"BTCUSDT","interval":"1h",')


def test_format_outvotes_the_ending(histq: Histq, prices: Path) -> None:
    histq("export", "ETH", "-q", "-o", "x.csv", "--format", "jsonl")

    assert (prices / "x.csv").read_text().startswith('{"source":"binance","symbol":"ETHUSDT",')


def test_resample_tells_what_it_leaves_out(histq: Histq, prices: Path) -> None:
    ended = histq("export", "BTC", "--resample", "1d")

    assert ended.out == HEADER + "binance,BTCUSDT,1d,0,,,,1.5,,,,,,\n"
    assert ended.err == "left out 1 incomplete candles; --incomplete writes them too\n"


def test_incomplete_candles_come_when_asked_for(histq: Histq, prices: Path) -> None:
    ended = histq("export", "BTC", "--resample", "1d", "--incomplete")

    assert ended.out.count("\n") == 3
    assert ended.err == ""


def test_filled_rows_are_marked(histq: Histq, prices: Path) -> None:
    ended = histq("export", "BTC", "--fill", "ffill", "--from", "1970-01-01T23:00Z")

    assert ended.out.splitlines() == [
        HEADER.strip() + ",filled",
        "binance,BTCUSDT,1h,82800000,,,,1.5,,,,,,,0",
        "binance,BTCUSDT,1h,86400000,1.5,1.5,1.5,1.5,0.0,0.0,0,0.0,0.0,,1",
        "binance,BTCUSDT,1h,90000000,,,,1.5,,,,,,,0",
        "binance,BTCUSDT,1h,93600000,,,,1.5,,,,,,,0",
    ]


def test_an_existing_file_is_replaced_only_by_force(histq: Histq, prices: Path) -> None:
    (prices / "x.csv").write_text("mine")

    refused = histq("export", "ETH", "-o", "x.csv")
    kept = (prices / "x.csv").read_text()
    forced = histq("export", "ETH", "-o", "x.csv", "--force")

    assert (refused.code, kept) == (2, "mine")
    assert refused.err == "histq: x.csv exists already; --force replaces it\n"
    assert forced.code == 0
    assert (prices / "x.csv").read_text().startswith(HEADER)


def test_the_database_is_not_exported_over_itself(histq: Histq, prices: Path) -> None:
    ended = histq("export", "-o", "histq.db", "--force")

    assert ended.code == 2
    assert "is the database itself" in ended.err
    assert histq("stats").code == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("export DOGE", "no such series in this database"),
        ("export --resample 90m", "no interval '90m'"),
        ("export --resample 1m", "binance/BTCUSDT/1h cannot be resampled to 1m"),
        ("export --incomplete", "--incomplete goes with --resample"),
        ("export --format xml", "'xml' is not one of 'csv', 'jsonl', 'parquet'"),
        ("export --from soon", "--from 'soon' is no date"),
        ("export -o no/x.csv", "there is no folder no"),
    ],
)
def test_what_cannot_be_done_is_a_mistake_and_writes_nothing(
    arguments: str, told: str, histq: Histq, prices: Path
) -> None:
    ended = histq(*arguments.split())

    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err


def test_without_a_database_there_is_no_file(histq: Histq, place: Path) -> None:
    ended = histq("export", "-o", "x.csv")

    assert ended.code == 10
    assert list(place.iterdir()) == []


@pytest.fixture
def long_history(place: Path) -> Path:
    """200,000 minutes: a second of writing, and more than a pipe holds."""
    minutes = Series("binance", "BTCUSDT", "1m")
    with Database.open(place / "histq.db") as database:
        store = SqliteStore(database, clock=lambda: 0)
        for start in range(0, 200_000, 40_000):
            store.write(minutes, page(*(n / 60 for n in range(start, start + 40_000))))
    return place


def test_a_signal_in_the_middle_leaves_the_old_file_whole(
    environ: dict[str, str], long_history: Path
) -> None:
    (long_history / "x.csv").write_text("old")
    process = subprocess.Popen(
        [sys.executable, "-m", "histq", "export", "-o", "x.csv", "--force"],
        cwd=long_history,
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and not list(long_history.glob(".x.csv.*.tmp")):
        pass
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=20)

    assert process.returncode == 143
    assert told == "stopped: x.csv is as it was before\n"
    assert (long_history / "x.csv").read_text() == "old"
    assert list(long_history.glob(".x.csv.*")) == []


def test_a_reader_that_has_had_enough_is_no_trouble(
    environ: dict[str, str], long_history: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "histq", "export"],
        cwd=long_history,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None

    first = process.stdout.readline()
    process.stdout.close()
    told = process.stderr.read()
    process.stderr.close()
    process.wait(20)

    assert (first, told) == (HEADER, "")
