"""Answers over years of history: python -m bench.history [million rows].

Twenty million one-minute candles of thirty series, with holes, are laid into one file once, by SQL,
with the counters and the ledger that histq would have kept. Then `histq stats`, `coverage` and
`gaps` run as whole processes, in turns with `histq --version`, which is what starting takes, and
with themselves over an empty database, which tells what they take for the history alone.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from bench.measure import ROUNDS, Ended, at_most, environ, machine, run
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
BEYOND_S: Final = 0.3
COMMANDS: Final = (
    "stats",
    "coverage",
    "coverage COIN00USDT",
    "gaps",
    "gaps --all",
    "stats --json",
    "coverage --json",
    "gaps --json",
)

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
            _series(
                database, store, Series("binance", f"COIN{number:02}USDT", "1m"), rows // SERIES
            )
        with database.transaction():
            _trail(database)


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
            (f"COIN{n % SERIES:02}USDT", START + n * MINUTE_MS, START + (n + 1) * MINUTE_MS, START)
            for n in range(LETTERS)
        ],
    )
    database.change_many(
        'insert into messages (source, symbol, interval, start, "end", points, priority, queued_at)'
        " values ('binance', 'COIN00USDT', '1m', ?, ?, 1000, 1, ?)",
        [(n, n + 1, START) for n in range(WAITING)],
    )


def main() -> None:
    """Prints what each command takes beyond starting."""
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else MILLIONS) * 1_000_000)
    print(f"{machine()}: medians of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory() as name:
        full, empty = Path(name) / "full", Path(name) / "empty"
        for folder in (full, empty):
            folder.mkdir()
        began = time.perf_counter()
        lay(full / "histq.db", rows)
        took = time.perf_counter() - began
        size = (full / "histq.db").stat().st_size / 1e9
        print(f"{rows:,} rows of {SERIES} series, {size:.1f} GB, laid in {took:.0f} s")
        Database.open(empty / "histq.db").close()
        found: dict[tuple[str, Path], list[Ended]] = {}
        for _ in range(ROUNDS):
            for folder in (full, empty):
                for command in ("--version", *COMMANDS):
                    found.setdefault((command, folder), []).append(_ended(command, folder))
    _show(
        {command: ended for (command, folder), ended in found.items() if folder == full},
        {command: ended for (command, folder), ended in found.items() if folder == empty},
    )


def _ended(command: str, folder: Path) -> Ended:
    # 2: an empty database has no such series; 3: there are holes.
    return run("histq", *command.split(), cwd=folder, environ=environ(folder), codes=(0, 2, 3))


def _show(full: dict[str, list[Ended]], empty: dict[str, list[Ended]]) -> None:
    starting = full.pop("--version")
    print(f"starting: {_median(starting):.2f} s (processor {_median(starting, cpu=True):.2f} s)")
    print(f"{'seconds':24}{'lines':>8}{'whole':>8}{'beyond':>8}{'processor':>11}{'history':>9}")
    for command, runs in full.items():
        print(
            f"{command:24}{runs[0].out.count(chr(10)):>8,}{_median(runs):>8.2f}"
            f"{_beyond(runs, starting):>8.2f}{_beyond(runs, starting, cpu=True):>11.2f}"
            f"{_beyond(runs, empty[command]):>9.2f}"
        )
    for command in ("stats", "coverage", "gaps"):
        at_most(f"{command} beyond starting", _beyond(full[command], starting), BEYOND_S, " s")


def _median(runs: Sequence[Ended], *, cpu: bool = False) -> float:
    return statistics.median(ended.cpu_s if cpu else ended.seconds for ended in runs)


def _beyond(runs: Sequence[Ended], base: Sequence[Ended], *, cpu: bool = False) -> float:
    """The median of the differences round by round."""
    pairs = zip(runs, base, strict=True)
    if cpu:
        return statistics.median(ended.cpu_s - other.cpu_s for ended, other in pairs)
    return statistics.median(ended.seconds - other.seconds for ended, other in pairs)


if __name__ == "__main__":
    main()
