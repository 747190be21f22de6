"""Whether a queue notices that it does not add up, and does not cry wolf."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from histq.db import Database
from histq.errors import Misshapen
from histq.findings import Finding
from histq.model import Kind, Reason, Window
from histq.pipeline.letters import body_letter
from histq.queues import Held, Holder, Queue
from histq.queues.sqlite import SqliteQueue
from tests.queues import BTC, PLENTY, T0, Bench, draft, hours


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


def test_a_queue_that_was_filled_by_its_verbs_adds_up(bench: Bench) -> None:
    queue = bench.open()
    queue.put([draft(hour) for hour in range(6)])
    buried, retried, leased = queue.lease(3, PLENTY, 60)
    queue.bury(buried, Reason.POISON, "no")
    queue.retry(retried, "later")
    misshapen = Misshapen("no candles", b"\xff\xfe")
    queue.keep([body_letter(BTC, hours(9, 10), misshapen, T0)])

    assert found(queue) == []
    assert leased.window == hours(2, 3)


def test_what_a_queue_holds_is_messages_and_letters(bench: Bench) -> None:
    queue = bench.open()
    queue.put([draft(0), draft(1)])
    (first,) = queue.lease(1, PLENTY, 60)
    queue.bury(first, Reason.POISON, "no")

    assert sorted(queue.held()) == [Held(BTC, hours(0, 1), True), Held(BTC, hours(1, 2), False)]


def test_holders_of_leases_are_known_dead_or_alive(bench: Bench) -> None:
    one, other = bench.open("one"), bench.open("other")
    one.put([draft(hour) for hour in range(4)])
    one.lease(1, PLENTY, 60)
    other.lease(2, PLENTY, 60)
    bench.world.dead.add("other")

    assert one.holders() == [Holder("one", 1, False), Holder("other", 2, True)]


def test_a_lease_that_ran_out_has_no_holder(bench: Bench) -> None:
    queue = bench.open()
    queue.put([draft(0)])
    queue.lease(1, PLENTY, 60)

    bench.world.wait(61)

    assert queue.holders() == []


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


def test_letters_before_an_instant_come_oldest_first(bench: Bench) -> None:
    queue = bench.open()
    for hour in range(3):
        letter = body_letter(BTC, hours(hour, hour + 1), Misshapen("no", b"x"), T0 - hour)
        queue.keep([letter])

    old = queue.letters_before(T0, 10)

    assert [letter.failed_at for letter in old] == [T0 - 2, T0 - 1]
    assert [letter.kind for letter in queue.letters_before(T0, 1)] == [Kind.BODY]
    assert queue.count_before(T0) == 2
    assert queue.letters_before(T0 - 2, 10) == []
    assert old[0].window == Window(2 * 3_600_000, 3 * 3_600_000)
