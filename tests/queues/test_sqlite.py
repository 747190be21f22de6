"""The queue in a SQLite file: what its lock and its indexes are for."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from histq.db import Database, Parameters, Row
from histq.model import Priority
from histq.queues.sqlite import SqliteQueue
from tests.queues import T0, World, draft, lease, lease_one


class Contended(Database):
    """Its write lock is waited for, for so long by the clock of the world; and it is overheard."""

    world: World
    wait_s: float = 0
    asked: list[str]

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.world.wait(self.wait_s)
        with super().transaction():
            yield

    def rows(self, sql: str, parameters: Parameters = ()) -> list[Row]:
        self.asked.append(sql)
        return super().rows(sql, parameters)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Contended]:
    Contended.world, Contended.asked = World(), []
    with Contended.open(tmp_path / "histq.db") as database:
        yield database


def queue_of(database: Contended, owner: str) -> SqliteQueue:
    return SqliteQueue(
        database, owner=owner, clock=lambda: database.world.now, dead=lambda _: False
    )


def test_a_lease_begins_when_it_is_given_however_long_the_lock_was_waited_for(
    database: Contended,
) -> None:
    queue = queue_of(database, "one")
    queue.put([draft(0)])
    database.wait_s = 50
    lease_one(queue)
    database.wait_s = 0

    database.world.wait(59.999)
    early = lease(queue)
    database.world.wait(0.001)

    assert early == []
    assert len(lease(queue)) == 1


def test_extending_counts_from_when_the_lock_was_got(database: Contended) -> None:
    queue = queue_of(database, "one")
    queue.put([draft(0)])
    message = lease_one(queue)
    database.wait_s = 50
    queue.extend([message], 60)

    assert queue.next_due_at() == T0 + 110_000


def test_who_waits_for_the_lock_takes_no_lease_that_runs_out_meanwhile(
    database: Contended,
) -> None:
    holder, waiter = queue_of(database, "holder"), queue_of(database, "waiter")
    holder.put([draft(0), draft(1)])
    held = lease_one(holder)
    database.wait_s = 70

    found = lease(waiter, 10)

    assert [message.window for message in found] == [draft(1).window]
    holder.ack([held])


def plan(database: Contended, sql: str) -> list[str]:
    """How SQLite goes about it; the values of parameters do not matter."""
    parameters: Parameters = {"now": 0} if ":now" in sql else [0] * sql.count("?")
    return [detail for *_, detail in database.rows(f"explain query plan {sql}", parameters)]


def test_depth_reads_indexes_and_of_the_messages_one(database: Contended) -> None:
    queue = queue_of(database, "one")
    queue.put([draft(hour, priority=Priority(hour % 3)) for hour in range(9)])
    database.asked.clear()
    queue.depth()

    asked = list(database.asked)
    scanning = [sql for sql in asked if "SCAN messages" in plan(database, sql)]

    assert len(asked) == 3
    assert [sql.endswith("limit 1") for sql in scanning] == [True]
    assert "SCAN messages USING COVERING INDEX messages_due" in plan(database, asked[0])


def test_choosing_what_to_lease_reads_one_range_of_the_index_and_sorts_nothing(
    database: Contended,
) -> None:
    queue = queue_of(database, "one")
    queue.put([draft(hour, priority=Priority(hour % 3)) for hour in range(9)])
    database.asked.clear()
    lease(queue, 5)

    choices = {sql for sql in database.asked if "order by available_at" in sql}
    found = [step for sql in choices for step in plan(database, sql)]

    assert found == [
        "SEARCH messages USING COVERING INDEX messages_due (priority=? AND available_at<?)"
    ]
