"""Revisions in the SQLite store: recorded as they are told, applied when the user says so.

A revision leads from what the provider said last to what it says now, so those of one candle that
wait are a chain: laid over the stored candle one after the other, they give every candle told.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from msgspec.structs import astuple, replace

from histq.db import Database
from histq.host import Clock
from histq.model import FIELDS, Candle, Series
from histq.page import Flat, Number, changed, fault, rows, timestamps
from histq.stores import Applied, Revision, RevisionState

# What is older than an applied revision of its candle waits no more: it was overtaken.
_OVERTAKEN: Final = (
    "exists (select 1 from revisions a where a.series_id = r.series_id"
    " and a.timestamp = r.timestamp and a.id > r.id and a.applied_at is not null)"
)
_WAITS: Final = f"r.applied_at is null and not {_OVERTAKEN}"
_COLUMNS: Final = ", ".join(FIELDS)
_UPDATE: Final = (
    f"update prices set {', '.join(f'{name} = ?' for name in FIELDS)}"
    " where series_id = ? and timestamp = ?"
)


class _Waiting(NamedTuple):
    id: int
    old: dict[str, Number]
    new: dict[str, Number]


class _Step(NamedTuple):
    """The candle that a revision leads to, or why it leads nowhere."""

    id: int
    candle: Candle
    stale: str | None


class SqliteRevisions:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._db = database
        self._clock = clock

    def record(self, series_id: int, page: Flat) -> int:
        """Records where the page says other than was told last; how many differ from the table.

        Asking twice gets the same answer twice; only news is a revision, and that a provider took
        its word back is news. The caller has a transaction open.
        """
        times = timestamps(page)
        first, last = min(times), max(times)
        stored = self._stored(series_id, first, last)
        waiting = self._waiting(series_id, first, last)
        revised = 0
        for candle in rows(page):
            before = stored[candle.timestamp]
            differs = bool(changed(before, candle))
            revised += differs
            if differs or candle.timestamp in waiting:
                chain = _chain(before, waiting.get(candle.timestamp, ()))
                self._insert(series_id, _told_last(before, chain), candle)
        return revised

    def _insert(self, series_id: int, told: Candle, later: Candle) -> None:
        if not (fields := changed(told, later)):
            return
        old = json.dumps({name: values[0] for name, values in fields.items()})
        new = json.dumps({name: values[1] for name, values in fields.items()})
        self._db.change(
            "insert into revisions (series_id, timestamp, seen_at, old, new)"
            " values (?, ?, ?, ?, ?)",
            (series_id, later.timestamp, self._clock(), old, new),
        )

    def _stored(self, series_id: int, first: int, last: int) -> dict[int, Candle]:
        found = self._db.rows(
            f"select {_COLUMNS} from prices where series_id = ? and timestamp between ? and ?",
            (series_id, first, last),
        )
        return {row[0]: Candle(*row) for row in found}

    def _waiting(self, series_id: int, first: int, last: int) -> dict[int, list[_Waiting]]:
        """By open time, those of one candle in the order they were told."""
        found = self._db.rows(
            "select r.timestamp, r.id, r.old, r.new from revisions r where r.series_id = ?"
            f" and r.timestamp between ? and ? and {_WAITS} order by r.id",
            (series_id, first, last),
        )
        waiting: dict[int, list[_Waiting]] = {}
        for timestamp, id_, old, new in found:
            revision = _Waiting(id_, json.loads(old), json.loads(new))
            waiting.setdefault(timestamp, []).append(revision)
        return waiting

    def newest(
        self, series: Sequence[Series], limit: int, ids: Sequence[int] | None
    ) -> list[Revision]:
        found = self._db.rows(
            "select r.id, s.source, s.symbol, s.interval, r.timestamp, r.seen_at, r.old, r.new,"
            f" r.applied_at, {_OVERTAKEN} from revisions r join series s on s.id = r.series_id"
            " where s.id in (select value from json_each(:series))"
            " and (:ids is null or r.id in (select value from json_each(:ids)))"
            " order by r.id desc limit :limit",
            {
                "series": self._ids(series),
                "ids": None if ids is None else json.dumps(list(ids)),
                "limit": limit,
            },
        )
        return [_revision(*row) for row in found]

    def waiting(self, series: Sequence[Series], after: int, limit: int) -> list[int]:
        # The plus keeps SQLite to the order of ids, so that a page costs no sort of all the rest.
        found = self._db.rows(
            "select r.id from revisions r where r.id > :after"
            f" and +r.series_id in (select value from json_each(:series)) and {_WAITS}"
            " order by r.id limit :limit",
            {"after": after, "series": self._ids(series), "limit": limit},
        )
        return [id_ for (id_,) in found]

    def _ids(self, series: Sequence[Series]) -> str:
        """JSON of their ids, for json_each."""
        meant = set(series)
        found = self._db.rows("select id, source, symbol, interval from series")
        return json.dumps([row[0] for row in found if Series(*row[1:]) in meant])

    def apply(self, ids: Sequence[int], *, dry_run: bool) -> Applied:
        found = self._db.rows(
            "select id, series_id, timestamp, applied_at from revisions"
            " where id in (select value from json_each(?)) order by series_id, timestamp, id",
            (json.dumps(list(ids)),),
        )
        result = Applied([], [], [])
        meant: dict[tuple[int, int], list[int]] = {}
        for id_, series_id, timestamp, applied_at in found:
            if applied_at is None:
                meant.setdefault((series_id, timestamp), []).append(id_)
            else:
                result.already.append(id_)
        for (series_id, timestamp), wanted in meant.items():
            self._apply_to(series_id, timestamp, wanted, result, dry_run)
        return result

    def _apply_to(
        self, series_id: int, timestamp: int, wanted: list[int], result: Applied, dry_run: bool
    ) -> None:
        """Takes one candle to the last sound one of the wanted revisions."""
        now = self._clock()
        stored = self._stored(series_id, timestamp, timestamp).get(timestamp)
        if stored is None:
            result.left_out.extend((id_, "its candle is not stored any more") for id_ in wanted)
            return
        waiting = self._waiting(series_id, timestamp, timestamp).get(timestamp, [])
        steps = list(_chain(stored, waiting))
        faults = {step.id: step.stale or fault(step.candle, now) for step in steps}
        for id_ in wanted:
            if why := faults.get(id_, "a newer revision of its candle is applied already"):
                result.left_out.append((id_, why))
        target = max((id_ for id_ in wanted if id_ in faults and not faults[id_]), default=0)
        taken = [step for step in steps if step.id <= target and not faults[step.id]]
        if not taken:
            return
        result.applied.extend(step.id for step in taken)
        if dry_run:
            return
        self._db.change(_UPDATE, (*astuple(taken[-1].candle), series_id, timestamp))
        self._db.change_many(
            "update revisions set applied_at = ? where id = ?",
            [(now, step.id) for step in taken],
        )


def _chain(stored: Candle, waiting: Sequence[_Waiting]) -> Iterator[_Step]:
    told = stored
    for revision in waiting:
        wrong = [name for name, old in revision.old.items() if not _same(getattr(told, name), old)]
        if wrong:
            # Somebody has changed the table. What it holds now is on no record, so it stays.
            name = wrong[0]
            held, old = getattr(told, name), revision.old[name]
            yield _Step(revision.id, told, f"{name} was {old} when it came, and is {held} now")
            continue
        told = replace(told, **revision.new)
        yield _Step(revision.id, told, None)


def _same(left: Number, right: Number) -> bool:
    """Whether they are one double: the table holds no other numbers."""
    if left is None or right is None:
        return left is right
    return float(left) == float(right)


def _told_last(stored: Candle, chain: Iterator[_Step]) -> Candle:
    told = stored
    for step in chain:
        told = step.candle
    return told


def _revision(
    id_: int,
    source: str,
    symbol: str,
    interval: str,
    timestamp: int,
    seen_at: int,
    old: str,
    new: str,
    applied_at: int | None,
    overtaken: int,
) -> Revision:
    state = RevisionState.OVERTAKEN if overtaken else RevisionState.WAITING
    return Revision(
        id=id_,
        source=source,
        symbol=symbol,
        interval=interval,
        timestamp=timestamp,
        seen_at=seen_at,
        old=json.loads(old),
        new=json.loads(new),
        state=state if applied_at is None else RevisionState.APPLIED,
        applied_at=applied_at,
    )
