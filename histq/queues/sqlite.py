"""The queue in a SQLite file: three small writes a page, no state column, no reaper."""

import random
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Final

from histq.db import Database, Row
from histq.errors import LeaseLost
from histq.findings import Finding
from histq.host import Clock, is_dead, wall_clock
from histq.model import (
    DeadLetter,
    Depth,
    Draft,
    History,
    Kind,
    Message,
    Priority,
    Reason,
    Series,
    Window,
)
from histq.page import as_json
from histq.place import refuse_full
from histq.queues import ALONE_AFTER, DeadCount, Held, Holder, backoff_s, sqlite_audit
from histq.queues.sqlite_letters import SqliteLetters

NO_PAST: Final = (None, None, None)

LOW_SHARE: Final = 8
"""One lease in so many begins with a lower priority, in turn, so that none is ever starved."""

_MESSAGE = (
    'id, token, source, symbol, interval, start, "end", points, body, failures, deliveries,'
    " queued_at, via, past_queued_at, past_failures, past_deliveries"
)


class SqliteQueue:
    """`owner` names this process. Tests replace `clock`, `fraction` (0 to 1) and `dead`.

    `put` leaves `min_free_bytes` of the disk free; 0 fills it.
    """

    def __init__(
        self,
        database: Database,
        *,
        owner: str,
        max_retries: int = 3,
        min_free_bytes: int = 0,
        clock: Clock = wall_clock,
        fraction: Callable[[], float] = random.random,
        dead: Callable[[str], bool] = is_dead,
    ) -> None:
        self._db = database
        self._letters = SqliteLetters(database)
        self._owner = owner
        self._max_retries = max_retries
        self._min_free_bytes = min_free_bytes
        self._clock = clock
        self._fraction = fraction
        self._dead = dead
        self._leases = 0

    @property
    def database(self) -> Database:
        return self._db

    def transaction(self) -> AbstractContextManager[None]:
        return self._db.transaction()

    def put(self, drafts: Sequence[Draft]) -> int:
        refuse_full(self._db.path, self._min_free_bytes)
        now = self._clock()
        with self._db.transaction():
            return sum(self._put(draft, now) for draft in drafts)

    def _put(self, draft: Draft, now: int) -> int:
        rest = (draft.via, draft.available_at, *(draft.past or NO_PAST))
        message_id = self._db.insert(
            'insert into messages (source, symbol, interval, start, "end", points, priority,'
            " queued_at, via, available_at, past_queued_at, past_failures, past_deliveries)"
            " values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
            ' on conflict (source, symbol, interval, start, "end") do nothing',
            (*draft.series, *draft.window, draft.points, draft.priority, now, *rest),
        )
        if not message_id:
            return 0
        self._db.change("insert into bodies values (?, ?)", (message_id, draft.body))
        return 1

    def lease(self, limit: int, points: int, lease_s: float) -> list[Message]:
        asked_at = self._clock()
        dead_owners = self._dead_owners()
        if not dead_owners and not any(True for _ in self._due(asked_at, 1)):
            return []  # an idle consumer asks often: it must not take the write lock for nothing
        token = secrets.token_hex(8)
        self._leases += 1
        with self._db.transaction():
            self._free(dead_owners)
            # What was due when we began to wait for the lock: a lease that ran out since then is of
            # somebody who waits for it too, with work that is done.
            chosen = self._choose(asked_at, limit, points)
            until = self._until(lease_s)
            return [self._take(message_id, token, until) for message_id in chosen]

    def _until(self, lease_s: float) -> int:
        """The end of a lease that begins now; to be asked for with the lock in hand."""
        return self._clock() + round(lease_s * 1000)

    def _choose(self, now: int, limit: int, points: int) -> list[int]:
        chosen: list[int] = []
        for message_id, size, unexplained in self._due(now, limit):
            points -= size
            alone = unexplained >= ALONE_AFTER
            if chosen and (points < 0 or alone):
                break
            chosen.append(message_id)
            if alone or len(chosen) == limit:
                break
        return chosen

    def _due(self, now: int, limit: int) -> Iterator[Row]:
        """(id, points, leases that ended without a word) in the order of delivery."""
        turn, rest = divmod(self._leases, LOW_SHARE)
        first = Priority.HIGH if rest else (Priority.LOW, Priority.NORMAL)[turn % 2]
        for priority in sorted(Priority, key=lambda priority: priority != first):
            # One range of the index a priority: with both in one statement, the delayed messages
            # of a priority would be walked through before the ready ones of the next.
            yield from self._db.rows(
                "select id, points, deliveries - failures from messages"
                " where priority = ? and available_at <= ? order by available_at, id limit ?",
                (priority, now, limit),
            )

    def _take(self, message_id: int, token: str, until: int) -> Message:
        self._db.change(
            "update messages set token = ?, owner = ?, available_at = ?,"
            " deliveries = deliveries + 1 where id = ?",
            (token, self._owner, until, message_id),
        )
        (row,) = self._db.rows(
            f"select {_MESSAGE} from messages join bodies on message_id = id where id = ?",
            (message_id,),
        )
        identity, token, source, symbol, interval, start, end, points, body, *rest = row
        series, window = Series(source, symbol, interval), Window(start, end)
        failures, deliveries, queued_at, via, *past = rest
        counts = failures, deliveries, queued_at
        history = None if past[0] is None else History(*past)
        return Message(identity, token, series, window, points, body, *counts, history, via)

    def _dead_owners(self) -> list[str]:
        """Holders of leases that were processes of this machine and live no more."""
        owners = self._db.rows("select distinct owner from messages where token is not null")
        return [owner for (owner,) in owners if owner != self._owner and self._dead(owner)]

    def _free(self, owners: Sequence[str]) -> None:
        for owner in owners:
            self._db.change(
                "update messages set token = null, owner = null, available_at = 0"
                " where owner = ? and token is not null",
                (owner,),
            )

    def extend(self, messages: Sequence[Message], lease_s: float) -> None:
        with self._db.transaction():
            until = self._until(lease_s)
            for message in messages:
                self._fenced(
                    message,
                    "update messages set available_at = :until where id = :id and token = :token",
                    until=until,
                )

    def ack(self, messages: Sequence[Message]) -> None:
        with self._db.transaction():
            for message in messages:
                self._delete(message)

    def _delete(self, message: Message) -> None:
        self._fenced(message, "delete from messages where id = :id and token = :token")
        self._db.change("delete from bodies where message_id = ?", (message.id,))

    def retry(self, message: Message, error: str) -> bool:
        failures = message.failures + 1
        with self._db.transaction():
            if failures > self._max_retries:
                self._to_letter(message._replace(failures=failures), Reason.EXHAUSTED, error)
                return False
            self._fenced(
                message,
                "update messages set token = null, owner = null, failures = :failures,"
                " available_at = :at, error = :error where id = :id and token = :token",
                failures=failures,
                at=self._clock() + round(backoff_s(failures, self._fraction()) * 1000),
                error=error,
            )
            return True

    def release(self, messages: Sequence[Message]) -> None:
        with self._db.transaction():
            for message in messages:
                self._db.change(
                    "update messages set token = null, owner = null, available_at = 0,"
                    " deliveries = deliveries - 1 where id = ? and token = ?",
                    (message.id, message.token),
                )

    def bury(self, message: Message, reason: Reason, error: str) -> None:
        with self._db.transaction():
            self._to_letter(message, reason, error)

    def _to_letter(self, message: Message, reason: Reason, error: str) -> None:
        self._delete(message)
        letter = DeadLetter(
            id=0,
            kind=Kind.PAGE,
            series=message.series,
            window=message.window,
            points=message.points,
            reason=reason,
            error=error,
            failures=message.history.failures,
            deliveries=message.history.deliveries,
            queued_at=message.history.queued_at,
            failed_at=self._clock(),
            raw_data=as_json(message.body),
        )
        self.keep([letter])

    def keep(self, letters: Sequence[DeadLetter]) -> None:
        self._letters.keep(letters)

    def letters(
        self, ids: Sequence[int] | None = None, limit: int | None = None
    ) -> list[DeadLetter]:
        return self._letters.newest(ids, limit)

    def letters_before(self, failed_before: int, limit: int) -> list[DeadLetter]:
        return self._letters.before(failed_before, limit)

    def count_before(self, failed_before: int) -> int:
        return self._letters.count_before(failed_before)

    def dead_by_error(self) -> list[DeadCount]:
        return self._letters.by_error()

    def drop(self, ids: Sequence[int]) -> int:
        return self._letters.drop(ids)

    def supersede(self, series: Series, window: Window) -> int:
        return self._letters.supersede(series, window)

    def depth(self) -> Depth:
        now = self._clock()
        messages, points, ready, leased = self._db.rows(
            "select count(*), coalesce(sum(points), 0), coalesce(sum(available_at <= :now), 0),"
            " (select count(*) from messages where token is not null and available_at > :now)"
            " from messages indexed by messages_due",
            {"now": now},
        )[0]
        oldest = self._db.value("select queued_at from messages order by id limit 1")
        return Depth(
            messages=messages,
            points=points,
            ready=ready,
            leased=leased,
            delayed=messages - ready - leased,
            dead=self._db.value("select count(*) from dead_letters"),
            oldest_age_s=None if oldest is None else max(0, now - oldest) / 1000,
        )

    def next_due_at(self) -> int | None:
        now = self._clock()
        sql = "select min(available_at) from messages where priority = ? and available_at > ?"
        found = [self._db.value(sql, (priority, now)) for priority in Priority]
        return min((at for at in found if at is not None), default=None)

    def buried_at(self) -> int | None:
        return min(self._db.rows("select max(failed_at) from dead_letters")[0], default=None)

    def holders(self) -> list[Holder]:
        found = self._db.rows(
            "select owner, count(*) from messages where token is not null and available_at > ?"
            " group by owner order by owner",
            (self._clock(),),
        )
        return [
            Holder(owner, messages, owner != self._owner and self._dead(owner))
            for owner, messages in found
        ]

    def held(self) -> Iterator[Held]:
        return sqlite_audit.held(self._db)

    def audit(self) -> Iterator[Finding]:
        return sqlite_audit.audit(self._db, self.depth())

    def close(self) -> None:
        self._db.close()

    def _fenced(self, message: Message, sql: str, **parameters: object) -> None:
        """One write that only the holder of the lease can make. Raises LeaseLost."""
        if self._db.change(sql, {"id": message.id, "token": message.token, **parameters}) != 1:
            raise LeaseLost(f"{message.series} {message.window}: the lease on this page ran out")
