"""What every queue back end promises to tell of what it holds; its audit does not cry wolf."""

from histq.errors import Misshapen
from histq.model import Kind, Reason, Window
from histq.pipeline.letters import body_letter
from histq.queues import Held, Holder, Queue
from tests.queues import BTC, PLENTY, T0, Bench, World, draft, hours


def test_a_queue_that_was_filled_by_its_verbs_adds_up(queue: Queue) -> None:
    queue.put([draft(hour) for hour in range(6)])
    buried, retried, leased = queue.lease(3, PLENTY, 60)
    queue.bury(buried, Reason.POISON, "no")
    queue.retry(retried, "later")
    misshapen = Misshapen("no candles", b"\xff\xfe")
    queue.keep([body_letter(BTC, hours(9, 10), misshapen, T0)])

    assert list(queue.audit()) == []
    assert leased.window == hours(2, 3)


def test_what_a_queue_holds_is_messages_and_letters(queue: Queue) -> None:
    queue.put([draft(0), draft(1)])
    (first,) = queue.lease(1, PLENTY, 60)
    queue.bury(first, Reason.POISON, "no")

    assert sorted(queue.held()) == [Held(BTC, hours(0, 1), True), Held(BTC, hours(1, 2), False)]


def test_what_is_leased_delayed_or_failed_is_held_too(queue: Queue) -> None:
    queue.put([draft(0), draft(1), draft(2)._replace(available_at=T0 + 9)])
    failed, _leased = queue.lease(2, PLENTY, 60)
    queue.retry(failed, "later")

    assert sorted(held.window for held in queue.held()) == [hours(0, 1), hours(1, 2), hours(2, 3)]
    assert not any(held.dead for held in queue.held())


def test_holders_of_leases_are_known_dead_or_alive(bench: Bench) -> None:
    one, other = bench.open("one"), bench.open("other")
    one.put([draft(hour) for hour in range(4)])
    one.lease(1, PLENTY, 60)
    other.lease(2, PLENTY, 60)
    bench.world.dead.add("other")

    assert one.holders() == [Holder("one", 1, False), Holder("other", 2, True)]


def test_a_lease_that_ran_out_has_no_holder(queue: Queue, world: World) -> None:
    queue.put([draft(0)])
    queue.lease(1, PLENTY, 60)

    world.wait(61)

    assert queue.holders() == []


def test_what_is_delayed_has_no_holder(queue: Queue) -> None:
    queue.put([draft(0), draft(1)._replace(available_at=T0 + 9)])
    (failed,) = queue.lease(1, PLENTY, 60)
    queue.retry(failed, "later")

    assert queue.holders() == []


def test_letters_before_an_instant_come_oldest_first(queue: Queue) -> None:
    for hour in range(3):
        letter = body_letter(BTC, hours(hour, hour + 1), Misshapen("no", b"x"), T0 - hour)
        queue.keep([letter])

    old = queue.letters_before(T0, 10)

    assert [letter.failed_at for letter in old] == [T0 - 2, T0 - 1]
    assert [letter.kind for letter in queue.letters_before(T0, 1)] == [Kind.BODY]
    assert queue.count_before(T0) == 2
    assert queue.letters_before(T0 - 2, 10) == []
    assert old[0].window == Window(2 * 3_600_000, 3 * 3_600_000)
