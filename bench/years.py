"""Years of history in one file, which several benches ask.

Twenty million one-minute candles of thirty series, with holes, are laid into it by SQL, with the
counters and the ledger that histq would have kept.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from histq.db import Database
from histq.model import MINUTE_MS, Series, Span, State
from histq.stores.sqlite import SqliteStore

MILLIONS: Final = 20
SERIES: Final = 30
START: Final = 1_672_531_200_000  # 2023-01-01
HOLES: Final = 40
"""Of each series; every fourth of them unexplained: failed, seen empty once, never asked."""

LETTERS: Final = 300
BATCHES: Final = 2_000
RUNS: Final = 500
WAITING: Final = 1_000

_INSERT: Final = """
    with recursive slots(n) as (select 0 union all select n + 1 from slots where n < :count - 1)
    insert into prices
    select :series, :start + n * 60000, 100 + n % 50, 151 + n % 50, 99, 100.5 + n % 50,
           n % 1000 / 8.0, n % 9000 / 4.0, n % 700, n % 500 / 8.0, n % 4000 / 4.0, null, :start
      from slots
"""


def lay(path: Path, rows: int) -> None:
    """The file, as a fetch and a consume of all this would have left it."""
    with Database.open(path) as database:
        store = SqliteStore(database)
        for number in range(SERIES):
            _series(database, store, series(number), rows // SERIES)
        with database.transaction():
            _trail(database)


def series(number: int) -> Series:
    """One of them, from 0 on."""
    return Series("binance", f"COIN{number:02}USDT", "1m")


def _series(database: Database, store: SqliteStore, series: Series, points: int) -> None:
    with database.transaction():
        spans = list(_spans(points))
        store.record(series, spans)
        series_id = database.value("select id from series where symbol = ?", (series.symbol,))
        stored = [span for span in spans if span.state is State.STORED]
        for span in stored:
            count = (span.end - span.start) // MINUTE_MS
            database.change(_INSERT, {"series": series_id, "start": span.start, "count": count})
        database.change(
            "update series set first = :first, last = :last, points ="
            " (select count(*) from prices where series_id = :id) where id = :id",
            {"first": stored[0].start, "last": stored[-1].end - MINUTE_MS, "id": series_id},
        )


def _spans(points: int) -> Iterator[Span]:
    """Stored stretches of one length, with a hole of one to forty minutes after each."""
    length = points // (HOLES + 1) * MINUTE_MS
    start = START
    for hole in range(HOLES + 1):
        size = points * MINUTE_MS - HOLES * length if hole == HOLES else length
        end = start + size
        yield Span(start, end, State.STORED)
        start = end + (hole + 1) * MINUTE_MS
        if hole == HOLES:
            return
        match hole % 16:
            case 3:
                yield Span(end, start, State.FAILED, 0, end, "HTTP 503 service unavailable")
            case 7:
                yield Span(end, start, State.EMPTY, 1, end)
            case 11 | 15:
                pass  # never asked
            case _:
                yield Span(end, start, State.EMPTY, 2, end, "between candles of one reply")


def _trail(database: Database) -> None:
    """What years leave behind beside prices: runs, batches, dead letters, and a queue at work."""
    database.change_many(
        "insert into runs (command, owner, started_at, ended_at, exit_code, summary)"
        " values ('consume', 'bench', ?, ?, 0, '{}')",
        [(START + n, START + n + 1) for n in range(RUNS)],
    )
    database.change_many(
        "insert into ingestion_stats"
        " values (null, ?, 'binance', ?, 10, 10000, 10000, 0, 0, 0, 40, ?)",
        [(n % RUNS + 1, START + n, 250_000 - n) for n in range(BATCHES)],
    )
    database.change_many(
        "insert into dead_letters values (null, 'candle', 'binance', ?, '1m', ?, ?, 1, 'poison',"
        " 'high is below low', 0, 1, 0, ?, '{}')",
        [
            (series(n % SERIES).symbol, START + n * MINUTE_MS, START + (n + 1) * MINUTE_MS, START)
            for n in range(LETTERS)
        ],
    )
    database.change_many(
        'insert into messages (source, symbol, interval, start, "end", points, priority, queued_at)'
        " values ('binance', 'COIN00USDT', '1m', ?, ?, 1000, 1, ?)",
        [(n, n + 1, START) for n in range(WAITING)],
    )
