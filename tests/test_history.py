"""Two years of hours from a provider with every fault that providers have, to the last candle.

Three markets: one with outages, one listed late, one with an early close and candles off the grid.
Every third page fails once before it comes, each in its own way; two pages fail until the provider
heals.
"""

import json
import random
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Histq, source_at
from tests.killable import Killable
from tests.loopback import Asked, Loopback, Says

HOUR_MS = 3_600_000
START = 1_672_531_200_000  # 2023-01-01
SLOTS = 731 * 24  # to 2025-01-01
PAGE = 1000
COMMAND = ("BTC", "ETH", "SOL", "-s", "binance", "--from", "2023-01-01", "--to", "2025-01-01")
KILLS = 20

Row = list[object]

# Slots without a candle. The second lies across two pages, so that no reply has candles on both
# sides of it, and counts as real once it was seen empty twice.
OUTAGES = {"BTCUSDT": [(1500, 1503), (4990, 5010), (9100, 9101)], "SOLUSDT": [(300, 301)]}
LISTED = {"ETHUSDT": 6400}
EARLY_CLOSE = ("SOLUSDT", 299, 23 * 60_000)  # half an hour before the halt
OFF_GRID = ("SOLUSDT", range(2400, 2448), 1_694_789)  # opened at HH:28:14.789 for two days
BROKEN = {("BTCUSDT", 7), ("ETHUSDT", 12)}  # pages


def row_of(symbol: str, slot: int) -> Row:
    opened = START + slot * HOUR_MS
    closed = opened + HOUR_MS - 1
    market, slots, late_ms = OFF_GRID
    if symbol == market and slot in slots:
        opened, closed = opened + late_ms, closed + late_ms
    if (symbol, slot) == EARLY_CLOSE[:2]:
        closed = opened + EARLY_CLOSE[2]
    price = 1000 + slot % 500
    prices = [f"{price + part}" for part in (0.5, 3, -3, 1.5)]
    return [opened, *prices, "7.5", closed, f"{price * 7.5}", 9, "3.25", f"{price * 3.25}", "0"]


def history(symbol: str) -> list[Row]:
    missing = {slot for start, end in OUTAGES.get(symbol, []) for slot in range(start, end)}
    first = LISTED.get(symbol, 0)
    return [row_of(symbol, slot) for slot in range(first, SLOTS) if slot not in missing]


HISTORY = {symbol: history(symbol) for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")}


class Faulty:
    """Binance's API with its faults. `healed` ends the two that last."""

    def __init__(self) -> None:
        self.healed = False
        self.asked: list[tuple[str, int]] = []
        self._times: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Says:
        symbol, start = asked.query["symbol"], int(asked.query["startTime"])
        end, limit = int(asked.query.get("endTime", sys.maxsize)), int(asked.query["limit"])
        rows = [row for row in HISTORY[symbol] if start <= row[0] <= end][:limit]  # type: ignore[operator]
        page = (symbol, (start - START) // HOUR_MS // PAGE)
        if limit == 1:  # a question about the listing
            return Says(json.dumps(rows).encode())
        with self._lock:
            self.asked.append((symbol, start))
            self._times[page] += 1
            first = self._times[page] == 1
        if page in BROKEN and not self.healed:
            return Says(b"upstream is down", 503)
        return self._faulty(rows, page[1]) if first and page[1] % 3 == 0 else _page(rows)

    def _faulty(self, rows: list[Row], number: int) -> Says:
        body = json.dumps(rows).encode()
        match number // 3:
            case 0:
                return Says(b'{"code":-1001,"msg":"Internal error"}', 503)
            case 1:
                return Says(b'{"code":-1003,"msg":"Too many"}', 429, {"Retry-After": "0"})
            case 2:
                return Says(body[: len(body) // 2], declared=len(body))  # dropped
            case 3:
                return Says(body[: len(body) // 2])  # truncated
            case 4:
                return _page([row for row in rows for _ in range(2)])  # duplicated
            case _:
                return _page(random.Random(number).sample(rows, len(rows)))  # unordered


def _page(rows: list[Row]) -> Says:
    return Says(json.dumps(rows).encode())


@pytest.fixture
def faulty() -> Faulty:
    return Faulty()


@pytest.fixture
def server(faulty: Faulty) -> Iterator[Loopback]:
    with Loopback(faulty) as serving:
        yield serving


def settings(server: Loopback, max_wait_s: float) -> dict[str, str]:
    patient = source_at("binance", server.url, max_wait_s=max_wait_s)
    return {**patient, "HISTQ_GAPS__CONFIRM_AFTER_S": "0"}


def expected() -> list[tuple[object, ...]]:
    """The whole table, by hand: symbol, open time, close, and a close time that is not regular."""
    return [
        (symbol, row[0], float(str(row[4])), None if regular(row) else row[6])
        for symbol, rows in HISTORY.items()
        for row in rows
    ]


def regular(row: Row) -> bool:
    assert isinstance(row[0], int)
    return row[6] == row[0] + HOUR_MS - 1


def table(place: Path) -> list[tuple[object, ...]]:
    with sqlite3.connect(place / "histq.db") as database:
        return database.execute(
            "select symbol, timestamp, close, close_time from historical_prices"
            " order by symbol, timestamp"
        ).fetchall()


def holes(histq: Histq) -> list[tuple[str, int, int, str]]:
    """(symbol, first slot, slots, why) of every gap."""
    found = histq("gaps", "--json").document["gaps"]
    return sorted(
        (gap["symbol"], (gap["start"] - START) // HOUR_MS, gap["slots"], gap["why"])
        for gap in found
    )


REAL = [
    ("BTCUSDT", 1500, 3, "empty, confirmed"),
    ("BTCUSDT", 9100, 1, "empty, confirmed"),
    ("ETHUSDT", 0, 6400, "before listing"),
    ("SOLUSDT", 300, 1, "empty, confirmed"),
]
AT_A_SEAM = ("BTCUSDT", 4990, 20, "empty, not confirmed yet")
FAILED = [("BTCUSDT", 7000, 1000, "failed"), ("ETHUSDT", 12400, 1000, "failed")]


def test_two_years_come_to_the_last_candle_and_every_hole_has_its_reason(
    histq: Histq, place: Path, faulty: Faulty, server: Loopback
) -> None:
    fetched = histq("sync", *COMMAND, "--json", **settings(server, 4))
    broken = holes(histq)
    unexplained = histq("gaps").code
    before = len(faulty.asked)
    faulty.healed = True
    repaired = histq("repair", **settings(server, 4))
    histq("consume")

    assert fetched.code == 3
    assert broken == sorted([*REAL, AT_A_SEAM, *FAILED])
    assert unexplained == 3
    # The seam is asked for with the rest: it has been seen empty once.
    assert sorted(set(faulty.asked[before:])) == [
        ("BTCUSDT", START + 4990 * HOUR_MS),
        ("BTCUSDT", START + 7000 * HOUR_MS),
        ("ETHUSDT", START + 12400 * HOUR_MS),
    ]
    assert len(faulty.asked[before:]) == 3
    assert repaired.code == 0
    assert holes(histq) == sorted([*REAL, (*AT_A_SEAM[:3], "empty, confirmed")])
    assert histq("gaps").code == 0
    assert table(place) == expected()


def state(place: Path) -> tuple[object, ...]:
    """What must be the same however often histq was killed."""
    with sqlite3.connect(place / "histq.db") as database:
        (integrity,) = database.execute("pragma integrity_check").fetchone()
        counters = database.execute(
            "select symbol, points, first, last, off_grid, doubled from series order by symbol"
        ).fetchall()
        spans = database.execute(
            'select symbol, start, "end", state from spans join series on series.id = series_id'
            " order by symbol, start"
        ).fetchall()
        left = database.execute(
            "select (select count(*) from messages), (select count(*) from dead_letters)"
        ).fetchone()
    return integrity, counters, joined(spans), left


def joined(spans: list[tuple[str, int, int, str]]) -> list[tuple[str, int, int, str]]:
    """Neighbours that say the same are one, though they were asked for at different times."""
    found: list[tuple[str, int, int, str]] = []
    for symbol, start, end, known in spans:
        if found and (found[-1][0], found[-1][2], found[-1][3]) == (symbol, start, known):
            start = found.pop()[1]
        found.append((symbol, start, end, known))
    return found


def test_death_at_random_moments_changes_nothing_of_the_end_state(
    histq: Histq, place: Path, tmp_path: Path, environ: dict[str, str], faulty: Faulty
) -> None:
    faulty.healed = True
    dice = random.Random(20)
    with Loopback(faulty) as server:
        environ |= settings(server, 60)
        quiet = place / "quiet"
        quiet.mkdir()
        assert histq("sync", *COMMAND, cwd=quiet).code == 0
        assert histq("fetch", *COMMAND, cwd=quiet).code == 0  # confirms the hole at the seam

        struck = rounds = 0
        with Killable(environ, Path(__file__).parent.parent) as killable:
            while struck < KILLS:
                rounds += 1
                folder = tmp_path / f"round-{rounds}"
                folder.mkdir()
                while (
                    struck < KILLS
                    and killable.run(
                        "sync", *COMMAND, cwd=folder, after_s=dice.uniform(0.1, 0.9)
                    ).status
                    == -9
                ):
                    struck += 1
                assert histq("sync", *COMMAND, cwd=folder).code == 0
                assert histq("fetch", *COMMAND, cwd=folder).code == 0

                assert table(folder) == expected()
                assert state(folder) == state(quiet)
