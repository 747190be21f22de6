"""symbols search: every coin that a ticker may mean, and never a guess."""

import gzip
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Histq, source_at
from tests.loopback import Asked, Loopback, Says

LONG_ID = "pundi-aifx-omnilayer-bridged-usdt-pundi-aidx-omnilayer"
COINS = [
    {"id": "batcat", "symbol": "btc", "name": "batcat"},
    {"id": "bitcoin", "symbol": "btc", "name": "Bitcoin"},
    {"id": "bitcoin-cash", "symbol": "bch", "name": "Bitcoin Cash"},
    {"id": "nameless", "symbol": "", "name": "Nameless"},
    {"id": LONG_ID, "symbol": "usdt", "name": "Pundi AIFX Omnilayer Bridged USDT"},
]


def lists(body: bytes) -> Loopback:
    """A CoinGecko that lists these coins and knows nothing else."""

    def answer(asked: Asked) -> Says:
        return Says(body) if asked.path == "/coins/list" else Says(b"{}", 404)

    return Loopback(answer)


@pytest.fixture
def gecko() -> Iterator[Loopback]:
    with lists(json.dumps(COINS).encode()) as server:
        yield server


def test_every_candidate_is_listed_and_none_is_chosen(histq: Histq, gecko: Loopback) -> None:
    ended = histq("symbols", "search", "BTC", **source_at("coingecko", gecko.url))

    assert (ended.code, ended.err) == (0, "")
    assert [line.split() for line in ended.out.splitlines()[:3]] == [
        ["coingecko_id", "ticker", "name"],
        ["batcat", "btc", "batcat"],
        ["bitcoin", "btc", "Bitcoin"],
    ]
    assert ended.out.splitlines()[3:] == [
        "2 coins share this ticker; put the coingecko_id of the one you mean in [[tokens]]"
    ]


def test_a_ticker_of_one_coin_is_that_coin(histq: Histq, gecko: Loopback, place: Path) -> None:
    ended = histq("symbols", "search", " bch ", "--json", **source_at("coingecko", gecko.url))

    assert ended.code == 0
    assert ended.document == {
        "schema": 1,
        "coins": [{"id": "bitcoin-cash", "symbol": "bch", "name": "Bitcoin Cash"}],
    }
    assert list(place.iterdir()) == []


def test_part_of_a_ticker_or_a_pair_is_no_ticker(histq: Histq, gecko: Loopback) -> None:
    for wrong in ("bt", "bitcoin", "BTC/USDT"):
        ended = histq("symbols", "search", wrong, **source_at("coingecko", gecko.url))

        assert (ended.code, ended.out) == (2, "")
        assert ended.err == (
            f"histq: CoinGecko lists no coin with the ticker {wrong!r}; write it alone, as in BTC\n"
        )


def test_without_a_ticker_nobody_is_asked(histq: Histq, gecko: Loopback) -> None:
    ended = histq("symbols", "search", " ", **source_at("coingecko", gecko.url))

    assert (ended.code, ended.err) == (2, "histq: no ticker; write one like BTC\n")
    assert gecko.log == []


def test_an_answer_that_is_no_list_of_coins_is_told(histq: Histq) -> None:
    with lists(b'{"status": "maintenance"}') as server:
        ended = histq("symbols", "search", "BTC", **source_at("coingecko", server.url))

    assert (ended.code, ended.out) == (3, "")
    assert "no list of coins in the answer" in ended.err
    assert len(ended.err.splitlines()) == 1


def test_an_id_is_shown_whole_on_a_narrow_terminal(
    environ: dict[str, str], place: Path, gecko: Loopback
) -> None:
    ours, theirs = pty.openpty()

    subprocess.run(
        [sys.executable, "-m", "histq", "symbols", "search", "usdt"],
        cwd=place,
        env={**environ, **source_at("coingecko", gecko.url), "COLUMNS": "80", "NO_COLOR": "1"},
        stdout=theirs,
        check=True,
        timeout=60,
    )
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    os.close(theirs)

    _, row, *rest = shown.splitlines()
    assert row.split()[:2] == [LONG_ID, "usdt"]
    assert " ".join([*row.split()[2:], *map(str.strip, rest)]) == COINS[-1]["name"]
    assert max(map(len, (row, *rest))) <= 80


@pytest.mark.parametrize(("ticker", "candidates"), [("btc", 6), ("ETH", 12), ("weth", 74)])
def test_the_recorded_list_has_so_many_coins_of_a_ticker(
    ticker: str, candidates: int, histq: Histq, realdata: Path
) -> None:
    recorded = realdata / "coingecko/misc/coins_list_20250803.json.gz"
    with lists(gzip.decompress(recorded.read_bytes())) as server:
        found = histq("symbols", "search", ticker, "--json", **source_at("coingecko", server.url))

    coins = found.document["coins"]
    assert found.code == 0
    assert len({coin["id"] for coin in coins}) == len(coins) == candidates
    assert {coin["symbol"] for coin in coins} == {ticker.lower()}
    if ticker == "btc":
        assert [coin["id"] for coin in coins] == [
            *("batcat", "big-tom-coin", "bitcoin", "blackrocktradingcurrency"),
            *("bobby-the-cat", "osmosis-allbtc"),
        ]
