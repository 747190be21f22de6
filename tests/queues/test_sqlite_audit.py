"""Whether the queue in SQLite notices that it does not add up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.db import Database
from histq.findings import Finding
from histq.model import Reason
from histq.queues import Queue
from histq.queues.sqlite import SqliteQueue
from tests.queues import PLENTY, T0, draft


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    with Database.open(tmp_path / "histq.db") as database:
        yield database


@pytest.fixture
def queue(db: Database) -> SqliteQueue:
    """Two messages, and a dead letter of a whole page."""
    made = SqliteQueue(db, owner="h:b:1:0:x", clock=lambda: T0)
    made.put([draft(0), draft(1), draft(2)])
    (first,) = made.lease(1, PLENTY, 60)
    made.bury(first, Reason.PERMANENT, "no")
    return made


def found(queue: Queue) -> list[Finding]:
    return list(queue.audit())


@pytest.mark.parametrize(
    ("change", "where", "what"),
    [
        ("delete from bodies where message_id = 2", "messages", "1 messages have no body (ids 2)"),
        ("delete from messages where id = 3", "bodies", "1 bodies have no message (ids 3)"),
        ("update messages set token = 'x' where id = 2", "messages", "1 messages have an imposs"),
        ('update messages set "end" = start', "messages", "2 messages have an impossible"),
        ("update messages set points = 9 where id = 2", "message 2", "claims 9 points and holds 1"),
        ("update bodies set body = x'00' where message_id = 2", "message 2", "message body does"),
        ("update dead_letters set raw_data = '{'", "dead letter 1", "letter holds no candles"),
        ("update dead_letters set points = 7", "dead letter 1", "claims 7 points and holds 1"),
        ("update dead_letters set kind = 'body'", "dead letter 1", "does not say what the body"),
    ],
    ids=[
        *("no body", "no message", "half a lease", "no window", "points", "body of nonsense"),
        *("letter of nonsense", "points of a letter", "letter of another kind"),
    ],
)
def test_what_does_not_add_up_is_found(
    change: str, where: str, what: str, queue: SqliteQueue, db: Database
) -> None:
    assert found(queue) == []
    db.rows(change)

    first, *rest = found(queue)

    assert first.where == where
    assert first.what.startswith(what)
    assert rest == []


def test_bytes_that_were_no_page_make_a_good_letter(queue: SqliteQueue, db: Database) -> None:
    db.rows("update bodies set body = x'00' where message_id = 2")
    (message,) = queue.lease(1, PLENTY, 60)
    queue.bury(message, Reason.POISON, "does not unpack")

    assert found(queue) == []
