"""compare: two sources of one market, as a user runs it."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from histq.db import Database
from histq.model import DAY_MS, HOUR_MS, Candle, Series
from histq.page import flatten
from histq.stores.sqlite import SqliteStore
from tests.conftest import Histq, source_at
from tests.loopback import Loopback
from tests.recorded import Recorded

START = 1_704_067_200_000  # 2024-01-01
BINANCE = Series("binance", "BTCUSDT", "1d")
KRAKEN = Series("kraken", "BTCUSDT", "1d")
GECKO = Series("coingecko", "BTCUSD", "1d")


SHOWN = """
binance/BTCUSDT/1d with kraken/BTCUSDT/1d
2024-01-01 to 2024-01-06, UTC: 4 candles on both sides, 1 on binance only, \
0 on kraken only; tolerance 1 %
field  equal  within  beyond     mean  median  largest  at
open       4       0       0      0 %     0 %      0 %  -
high       4       0       0      0 %     0 %      0 %  -
low        4       0       0      0 %     0 %      0 %  -
close      2       1       1  0.625 %  0.25 %      2 %  2024-01-03
volume not compared: every source counts its own trades; --volume compares it all the same
the largest of 1 differences beyond 1 %
open time   field  binance  kraken  difference
2024-01-03  close    100.0    98.0        -2 %
"""


def words(text: str) -> list[list[str]]:
    """Of each line; how wide columns are is the terminal's affair."""
    return [line.split() for line in text.strip().splitlines()]


def day(number: int, close: float) -> Candle:
    return Candle(START + number * DAY_MS, 100.0, 200.0, 50.0, close, 10.0)


@pytest.fixture
def prices(place: Path) -> Path:
    """Five days at Binance, four at Kraken of which one is 2 % off, two closes at CoinGecko."""
    with Database.open(place / "histq.db") as database:
        store = SqliteStore(database, clock=lambda: 0)
        store.write(BINANCE, flatten(day(number, 100.0) for number in range(5)))
        store.write(KRAKEN, flatten([day(0, 100.0), day(1, 99.5), day(2, 98.0), day(4, 100.0)]))
        store.write(GECKO, flatten([Candle(START + n * DAY_MS, close=102.0) for n in (1, 2)]))
    return place


def test_two_sources_are_compared_day_by_day(histq: Histq, prices: Path) -> None:
    ended = histq("compare", "BTC", "-s", "binance", "-s", "kraken")

    assert (ended.code, ended.err) == (3, "")
    assert words(ended.out) == words(SHOWN)


def test_json_has_all_the_figures(histq: Histq, prices: Path) -> None:
    ended = histq(
        *("compare", "BTC", "-s", "coingecko", "-s", "binance", "--as-usd", "--json"),
        *("--tolerance", "2%", "--from", "2024-01-02", "--to", "2024-01-03"),
    )

    untold = {"compared": 0, "equal": 0, "within": 0, "beyond": 0, "left_lacks": 1}
    untold |= {"right_lacks": 0}
    nothing = dict.fromkeys(("mean", "median", "bias", "largest"))
    assert ended.code == 0
    document = ended.document
    (pair,) = document["pairs"]
    close = pair["fields"].pop()
    assert document | {"pairs": []} == {
        **{"schema": 1, "tolerance": 0.02, "beyond": 0, "pairs": [], "not_compared": []}
    }
    assert pair == {
        "left": {
            **{"source": "coingecko", "symbol": "BTCUSD", "interval": "1d"},
            **{"only": 0, "incomplete": 0},
        },
        "right": {
            **{"source": "binance", "symbol": "BTCUSDT", "interval": "1d"},
            **{"only": 0, "incomplete": 0},
        },
        "interval": "1d",
        "as_usd": ["USDT"],
        "start": START + DAY_MS,
        "end": START + 2 * DAY_MS,
        "both": 1,
        "beyond": 0,
        "fields": [{"field": name, **untold, **nothing} for name in ("open", "high", "low")],
        "not_compared": [
            {"fields": ["open", "high", "low"], "why": "not told by coingecko/BTCUSD/1d"},
            {
                "fields": ["volume"],
                "why": "every source counts its own trades; --volume compares it all the same",
            },
        ],
        "differences": [],
    }
    # From 102 to 100 is 1.960784 % of the larger one.
    assert (close["compared"], close["within"]) == (1, 1)
    assert close["bias"] == pytest.approx(-0.01960784, rel=1e-6)
    assert close["median"] == 0.0196
    assert close["largest"]["timestamp"] == START + DAY_MS


def test_every_line_with_figures_says_that_tethers_are_taken_for_dollars(
    histq: Histq, prices: Path
) -> None:
    ended = histq("compare", "BTC", "-s", "binance", "-s", "coingecko", "--as-usd")

    title, _, *lines = ended.out.splitlines()
    figures = [line for line in lines if "%" in line]
    assert ended.code == 3
    assert title == "binance/BTCUSDT/1d with coingecko/BTCUSD/1d, USDT taken for USD"
    assert len(figures) == 4  # close, the title of the differences, two of them
    assert all("USDT=USD" in line for line in figures)


def test_without_consent_only_what_is_quoted_alike_is_compared(histq: Histq, prices: Path) -> None:
    named = histq("compare", "BTC", "-s", "binance", "-s", "coingecko")
    unnamed = histq("compare", "--tolerance", "5%")

    assert (named.code, named.out) == (2, "")
    assert named.err == (
        "histq: binance/BTCUSDT/1d, coingecko/BTCUSD/1d: USDT is not USD; --as-usd takes dollar"
        " coins for dollars\n"
    )
    assert unnamed.code == 0
    assert "binance/BTCUSDT/1d with kraken/BTCUSDT/1d\n" in unnamed.out
    assert [line.partition(": ")[2] for line in unnamed.out.splitlines()[-2:]] == [
        "binance/BTCUSDT/1d, coingecko/BTCUSD/1d: USDT is not USD; --as-usd takes dollar coins for"
        " dollars",
        "coingecko/BTCUSD/1d, kraken/BTCUSDT/1d: USD is not USDT; --as-usd takes dollar coins for"
        " dollars",
    ]


def test_hours_are_compared_with_days_once_they_are_resampled(histq: Histq, prices: Path) -> None:
    with Database.open(prices / "histq.db") as database:
        hours = [Candle(START + hour * HOUR_MS, close=102.0) for hour in range(24 + 12)]
        store = SqliteStore(database, clock=lambda: 0)
        store.write(Series("zaif", "BTCUSD", "1h"), flatten(hours))

    refused = histq("compare", "-s", "coingecko", "-s", "zaif")
    ended = histq("compare", "-s", "binance", "-s", "zaif", "--resample", "1d", "--as-usd")

    assert refused.code == 2
    assert "no interval in common; --resample 1d makes one" in refused.err
    assert ended.code == 3
    assert ended.out.splitlines()[:2] == [
        "binance/BTCUSDT/1d with zaif/BTCUSD/1h resampled to 1d, USDT taken for USD",
        "2024-01-01 to 2024-01-03, UTC: 1 candles on both sides, 1 on binance only, 0 on zaif only,"
        " 1 on zaif incomplete; tolerance 1 %",
    ]


def test_the_limit_is_of_what_is_told_not_of_what_is_counted(histq: Histq, prices: Path) -> None:
    ended = histq(
        *("compare", "-s", "binance", "-s", "kraken", "--tolerance", "0%", "--limit", "1")
    )

    assert "the largest of 2 differences beyond 0 %\n" in ended.out
    assert "98.0" in ended.out
    assert "99.5" not in ended.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ("-s binance", "it takes two sources to compare; name another with -s, or none for all"),
        ("-s binance -s binance", "it takes two sources to compare"),
        ("-s binance -s binanse", "no source 'binanse'; did you mean 'binance'?"),
        ("--tolerance 0.5", "--tolerance '0.5' is no share of a price; write it like 0.5%"),
        ("--tolerance -1%", "--tolerance '-1%' is no share of a price"),
        ("--tolerance 101%", "--tolerance '101%' is no share of a price"),
        ("--resample 90m", "no interval '90m'"),
        ("--from soon", "--from 'soon' is no date"),
        ("DOGE", "no such series in this database"),
        ("-i 1h", "no such series in this database"),
    ],
)
def test_what_cannot_be_done_is_a_mistake_in_one_line(
    arguments: str, told: str, histq: Histq, prices: Path
) -> None:
    ended = histq("compare", *arguments.split())

    assert (ended.code, ended.out) == (2, "")
    assert told in ended.err
    assert len(ended.err.splitlines()) == 1


def test_without_a_database_there_is_nothing_to_compare(histq: Histq, place: Path) -> None:
    assert histq("compare").code == 10
    assert list(place.iterdir()) == []


def test_a_market_that_is_no_token_is_compared_too(histq: Histq, place: Path) -> None:
    with Database.open(place / "histq.db") as database:
        store = SqliteStore(database, clock=lambda: 0)
        for source, symbol in (("binance", "PEPEUSDT"), ("cryptocompare", "PEPEUSD")):
            store.write(Series(source, symbol, "1d"), flatten([day(0, 100.0)]))

    ended = histq("compare", "PEPE/USDT", "--as-usd")

    assert ended.code == 0
    assert ended.out.startswith("binance/PEPEUSDT/1d with cryptocompare/PEPEUSD/1d, USDT taken")


def binance_days(realdata: Path, place: Path) -> str:
    """The recorded days without the column that their collector put first."""
    file = place / "BTCUSDT-1d.csv"
    recorded = (realdata / "binance/daily_since_2017/BTCUSDT-1d.csv").read_text().splitlines()
    with file.open("w", newline="") as out:
        csv.writer(out).writerows(row[1:] for row in csv.reader(recorded))
    return file.name


def shares(realdata: Path) -> Sequence[float]:
    """By how much the closes of both recordings differ, worked out without histq."""
    recorded = (realdata / "binance/daily_since_2017/BTCUSDT-1d.csv").read_text().splitlines()
    binance = {int(row["Open Time"]): float(row["Close"]) for row in csv.DictReader(recorded)}
    (file,) = (realdata / "cryptocompare/min_api").glob("histoday_v1*")
    index = {row["time"] * 1000: row["close"] for row in json.loads(file.read_text())["Data"][:-1]}
    pairs = [(binance[time], close) for time, close in index.items() if time in binance]
    return [abs(one - other) / max(one, other) for one, other in pairs]


def test_the_recorded_closes_of_binance_and_cryptocompare_track_each_other(
    histq: Histq, place: Path, realdata: Path
) -> None:
    expected = shares(realdata)
    with Loopback(Recorded(realdata)) as server:
        settings = source_at("cryptocompare", server.url, api_key="k")
        dates = ("--from", "2017-08-17", "--to", "2020-10-24")
        histq("sync", "BTC", "-s", "cryptocompare", "-i", "1d", *dates, **settings)
    histq("import", binance_days(realdata, place))

    ended = histq(
        *("compare", "BTC", "-s", "binance", "-s", "cryptocompare", "-i", "1d"),
        *("--as-usd", "--json", "--limit", "3"),
    )

    assert ended.code == 3
    (pair,) = ended.document["pairs"]
    close = pair["fields"][3]
    assert (pair["both"], pair["left"]["only"], pair["right"]["only"]) == (1164, 0, 0)
    assert close["mean"] == pytest.approx(sum(expected) / 1164)
    assert close["mean"] == pytest.approx(0.00518, abs=5e-6)
    assert close["median"] == 0.00174
    assert close["beyond"] == sum(share > 0.01 for share in expected) == 169
    assert close["largest"] == {
        **{"timestamp": 1_518_048_000_000, "field": "close"},  # 2018-02-08
        **{"left": 7784.02, "right": 8239.7},
        "share": pytest.approx(0.0553, abs=5e-5),
        "irregular": True,  # Binance halted 28 minutes into that day
    }
    assert [difference["field"] for difference in pair["differences"]] == ["low", "high", "low"]
