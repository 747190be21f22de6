"""What `stats` shows: the document of its `--json`."""

from typing import Final

import msgspec

from histq.db import Database
from histq.model import Depth
from histq.pipeline.backends import Backends
from histq.queues import DeadCount
from histq.stores import Run, SeriesStats, Throughput

LAST_RUNS: Final = 5
LAST_BATCHES: Final = 10_000
"""So many make up the throughput, however many there were: a week of one a minute."""


class DatabaseStats(msgspec.Struct, frozen=True):
    path: str
    bytes: int


class Stats(msgspec.Struct, frozen=True):
    environment: str
    queue: Depth
    series: list[SeriesStats]
    throughput: list[Throughput]
    dead_letters: list[DeadCount]
    runs: list[Run]
    database: DatabaseStats


def collect(backends: Backends, environment: str, last_runs: int = LAST_RUNS) -> Stats:
    """From counters, the ledger and indexes alone: the price table is not read."""
    return Stats(
        environment=environment,
        queue=backends.queue.depth(),
        series=backends.store.coverage(),
        throughput=backends.store.throughput(LAST_BATCHES),
        dead_letters=backends.queue.dead_by_error(),
        runs=backends.store.runs(last_runs),
        database=database_stats(backends.database),
    )


def database_stats(database: Database) -> DatabaseStats:
    return DatabaseStats(str(database.path), database.size_bytes())
