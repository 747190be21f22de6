"""A market whose every candle is known beforehand, and the audit of what became of them."""

import contextlib
import functools
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from bench.candles import MINUTE_MS, MOST, row
from tests.loopback import Asked, Says

LATENCY_S: Final = 0.01
START: Final = 1_704_067_200_000  # 2024-01-01
END: Final = 1_704_672_000_000  # 2024-01-08
OUTAGE: Final = range(START + 5_000 * MINUTE_MS, START + 5_007 * MINUTE_MS, MINUTE_MS)
BAD_EVERY: Final = 1_999


def symbol(number: int) -> str:
    return f"K{number:03}USDT"


def bad(market: str, opened: int) -> bool:
    """Whether the market's candle has its high below its low."""
    return (opened - START) // MINUTE_MS % BAD_EVERY == int(market[1:4])


def klines(asked: Asked) -> Says:
    """What is asked for, after a while. The market was listed at the start of its history."""
    time.sleep(LATENCY_S)
    first = max(START, int(asked.query["startTime"]))
    last = int(asked.query.get("endTime", END - 1))
    market, limit = asked.query["symbol"], min(MOST, int(asked.query["limit"]))
    start = -(-first // MINUTE_MS) * MINUTE_MS
    times = [opened for opened in range(start, last + 1, MINUTE_MS) if opened not in OUTAGE]
    texts = [_text(opened, bad(market, opened)) for opened in times[:limit]]
    return Says(f"[{','.join(texts)}]".encode())


@functools.cache
def _text(opened: int, broken: bool) -> str:
    candle = row(opened)
    if broken:
        candle[2] = "1.00000000"
    return json.dumps(candle)


def violations(path: Path, markets: Sequence[str]) -> Iterator[str]:
    """What is not as if nobody had been killed; all of the markets are fetched and consumed."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        found = connection.execute
        for table in ("messages", "bodies"):
            if left := found(f"select count(*) from {table}").fetchone()[0]:
                yield f"{left} {table} are left in the queue"
        for market in markets:
            yield from _of_one(connection, market)
        yield from _of_all(connection, markets)
        for (line,) in found("pragma integrity_check").fetchall():
            if line != "ok":
                yield f"integrity_check: {line}"


def _of_one(connection: sqlite3.Connection, market: str) -> Iterator[str]:
    def found(sql: str) -> list[Any]:
        return connection.execute(sql, (market,)).fetchall()

    known = [opened for opened in range(START, END, MINUTE_MS) if opened not in OUTAGE]
    good = [(opened, float(row(opened)[4])) for opened in known if not bad(market, opened)]
    broken = [(opened,) for opened in known if bad(market, opened)]
    prices = found("select timestamp, close from historical_prices where symbol = ? order by 1")
    if prices != good:
        yield f"{market}: {len(prices)} prices, of {len(good)} {len(set(prices) & set(good))} right"
    letters = found("select start from dead_letters where symbol = ? order by 1")
    if letters != broken:
        yield f"{market}: {len(letters)} dead letters for {len(broken)} bad candles"
    counted = found("select points, first, last, off_grid, doubled from series where symbol = ?")
    if counted != [(len(good), good[0][0], good[-1][0], 0, 0)]:
        yield f"{market}: counters {counted} of {len(good)} prices"
    spans = found(
        'select start, "end", state from spans join series on id = series_id'
        " where symbol = ? order by start"
    )
    slots = dict.fromkeys(("stored", "dead", "empty"), 0)
    reached = START
    for start, end, state in spans:
        if start != reached or state not in slots:
            yield f"{market}: the ledger says {state} from {start}, known up to {reached}"
            return
        slots[state] += (end - start) // MINUTE_MS
        reached = end
    if reached != END or list(slots.values()) != [len(good), len(broken), len(OUTAGE)]:
        yield f"{market}: the ledger ends at {reached} with {slots}"


def _of_all(connection: sqlite3.Connection, markets: Sequence[str]) -> Iterator[str]:
    found = connection.execute
    strangers = found(
        "select kind, reason, error, count(*) from dead_letters"
        " where kind <> 'candle' or reason <> 'poison' group by kind, reason, error"
    )
    for kind, reason, error, count in strangers.fetchall():
        yield f"{count} dead letters of kind {kind}, {reason}: {error}"
    told = found("select sum(inserted), sum(duplicates), sum(dead) from ingestion_stats").fetchone()
    counted = found(
        "select (select count(*) from prices), 0, (select count(*) from dead_letters)"
    ).fetchone()
    if told != counted:
        yield f"batches tell of {told} inserted, duplicate and dead, the tables of {counted}"
    series = [name for (name,) in found("select symbol from series order by symbol").fetchall()]
    if series != list(markets):
        yield f"series {series}, fetched were {list(markets)}"
