"""What was run, and the batches that each run stored, in the store's SQLite file."""

from histq.db import Database
from histq.host import Clock
from histq.model import Window
from histq.stores import Batch, Run, Tally, Throughput

_TALLY = (
    "count(*), sum(messages), sum(points), sum(inserted), sum(duplicates), sum(revised), sum(dead),"
    " sum(elapsed_ms)"
)


class SqliteRuns:
    """As the store's protocol promises."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    def log_batch(self, run_id: int, batch: Batch) -> None:
        rate = batch.points / batch.elapsed_ms * 1000 if batch.elapsed_ms else 0.0
        with self._db.transaction():
            self._log_batch(run_id, batch, rate)

    def _log_batch(self, run_id: int, batch: Batch, rate: float) -> None:
        self._db.change(
            "insert into ingestion_stats (run_id, at, source, messages, points, inserted,"
            " duplicates, revised, dead, elapsed_ms, points_per_s)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (run_id, self._clock(), *batch, rate),
        )

    def batches(self, limit: int) -> list[Batch]:
        found = self._db.rows(
            "select source, messages, points, inserted, duplicates, revised, dead, elapsed_ms"
            " from ingestion_stats order by id desc limit ?",
            (limit,),
        )
        return [Batch(*row) for row in found]

    def tallies(self, after: int) -> tuple[int, list[Tally]]:
        # By id, which grows with every commit: what comes later may be dated earlier.
        found = self._db.rows(
            f"select max(id), source, {_TALLY} from ingestion_stats where id > ?"
            " group by source order by source",
            (after,),
        )
        return max((row[0] for row in found), default=after), [Tally(*row[1:]) for row in found]

    def history(self, window: Window, step_ms: int) -> list[tuple[int, Tally]]:
        found = self._db.rows(
            f"select at / :step * :step as step, source, {_TALLY} from ingestion_stats"
            " where at >= :start and at < :end group by step, source order by step, source",
            {"step": step_ms, "start": window.start, "end": window.end},
        )
        return [(row[0], Tally(*row[1:])) for row in found]

    def throughput(self, latest: int) -> list[Throughput]:
        found = self._db.rows(
            "select source, avg(points_per_s), max(points_per_s), avg(points), count(*)"
            " from ingestion_stats where id > (select max(id) from ingestion_stats) - ?"
            " group by source order by source",
            (latest,),
        )
        return [Throughput(*row) for row in found]

    def start_run(self, command: str, owner: str) -> int:
        with self._db.transaction():
            return self._db.insert(
                "insert into runs (command, owner, started_at) values (?, ?, ?)",
                (command, owner, self._clock()),
            )

    def end_run(self, run_id: int, exit_code: int, summary: str) -> None:
        with self._db.transaction():
            self._db.change(
                "update runs set ended_at = ?, exit_code = ?, summary = ? where id = ?",
                (self._clock(), exit_code, summary, run_id),
            )

    def runs(self, limit: int) -> list[Run]:
        found = self._db.rows(
            "select command, started_at, ended_at, exit_code from runs order by id desc limit ?",
            (limit,),
        )
        return [Run(*row) for row in found]

    def last_run(self, command: str) -> int | None:
        found: int | None = self._db.value(
            "select max(started_at) from runs where command = ?", (command,)
        )
        return found
