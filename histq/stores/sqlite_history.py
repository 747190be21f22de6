"""What the SQLite store remembers of the past and may forget: statistics, runs, revisions."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from histq.db import Database
from histq.stores import History, Remembered


class _Memory(NamedTuple):
    """Where a kind is kept. `old` chooses the rows `r` that may go, the oldest first."""

    table: str
    columns: tuple[str, ...]
    old: str


_MEMORIES: Final[Mapping[History, _Memory]] = {
    History.STATS: _Memory(
        "ingestion_stats",
        (
            *("r.id", "r.run_id", "r.source", "r.at", "r.messages", "r.points", "r.inserted"),
            *("r.duplicates", "r.revised", "r.dead", "r.elapsed_ms", "r.points_per_s"),
        ),
        "from ingestion_stats r where r.at < :before order by r.at limit :limit",
    ),
    # A run that has not ended runs still, unless its process is known to be dead. One whose
    # statistics are kept stays with them.
    History.RUNS: _Memory(
        "runs",
        (
            *("r.id", "r.command", "r.owner", "r.started_at", "r.ended_at", "r.exit_code"),
            "r.summary",
        ),
        "from runs r where coalesce(r.ended_at, r.started_at) < :before"
        " and (r.ended_at is not null or r.owner in (select value from json_each(:dead)))"
        " and r.id not in (select run_id from ingestion_stats where at >= :stats_from)"
        " order by r.id limit :limit",
    ),
    # What waits must stay. What is settled, applied or overtaken, goes all of a candle at once: an
    # overtaken one that outlived its overtaker would wait again. The limit is one of candles.
    History.REVISIONS: _Memory(
        "revisions",
        (
            *("r.id", "s.source", "s.symbol", "s.interval", "r.timestamp", "r.seen_at"),
            *("r.old", "r.new", "r.applied_at"),
        ),
        "from (select series_id, timestamp, max(id) as id from revisions"
        " where applied_at is not null group by series_id, timestamp"
        " having max(applied_at) < :before limit :limit) as latest"
        " join revisions r on r.series_id = latest.series_id"
        " and r.timestamp = latest.timestamp and r.id <= latest.id"
        " join series s on s.id = r.series_id order by r.id",
    ),
}


_EVER: Final = -(2**63)


class SqliteHistory:
    """`dead` says whether a process is known to live no more."""

    def __init__(self, database: Database, dead: Callable[[str], bool]) -> None:
        self._db = database
        self._dead = dead

    def count(self, before: Mapping[History, int]) -> dict[History, int]:
        """How many rows of each kind may go, if all of them go."""
        found = {}
        for kind, instant in before.items():
            named = self._named(kind, instant, limit=-1)
            named["stats_from"] = before.get(History.STATS, _EVER)
            sql = f"select count(*) from (select r.id {_MEMORIES[kind].old})"
            found[kind] = int(self._db.value(sql, named))
        return found

    def forget(
        self,
        kind: History,
        before: int,
        limit: int,
        keep: Callable[[Sequence[Remembered]], None],
    ) -> int:
        """How many rows are gone. The caller has a transaction open."""
        memory = _MEMORIES[kind]
        found = self._db.rows(
            f"select {', '.join(memory.columns)} {memory.old}", self._named(kind, before, limit)
        )
        if not found:
            return 0
        names = [column.partition(".")[2] for column in memory.columns]
        keep([dict(zip(names, row, strict=True)) for row in found])
        return self._db.change(
            f"delete from {memory.table} where id in (select value from json_each(?))",
            (json.dumps([row[0] for row in found]),),
        )

    def _named(self, kind: History, before: int, limit: int) -> dict[str, object]:
        named: dict[str, object] = {"before": before, "limit": limit, "stats_from": _EVER}
        if kind is History.RUNS:
            owners = self._db.rows("select distinct owner from runs where ended_at is null")
            named["dead"] = json.dumps([owner for (owner,) in owners if self._dead(owner)])
        return named
