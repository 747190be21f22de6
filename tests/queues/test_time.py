"""Delays, and a clock that steps: what every queue back end promises of time."""

import pytest

from histq.errors import LeaseLost
from histq.model import Draft, Priority
from histq.queues import Queue
from tests.queues import T0, Bench, World, draft, hours, lease, lease_one, leased_windows

HOUR_S = 3600


def delayed(hour: int, seconds: float, priority: Priority = Priority.NORMAL) -> Draft:
    return draft(hour, priority=priority)._replace(available_at=T0 + round(seconds * 1000))


def test_a_message_is_not_delivered_before_its_time(queue: Queue, world: World) -> None:
    queue.put([delayed(0, 30)])

    world.wait(29.999)
    early = lease(queue)
    world.wait(0.001)

    assert early == []
    assert lease_one(queue).window == hours(0, 1)


def test_a_message_whose_time_is_past_is_delivered_at_once(queue: Queue) -> None:
    queue.put([delayed(0, -30)])

    assert lease_one(queue).window == hours(0, 1)


def test_a_delayed_message_keeps_nobody_waiting(queue: Queue) -> None:
    queue.put([delayed(0, 30, Priority.HIGH), draft(1), draft(2, priority=Priority.LOW)])

    assert leased_windows(queue) == [hours(1, 2), hours(2, 3)]


def test_delayed_messages_come_in_the_order_of_their_times(queue: Queue, world: World) -> None:
    queue.put([delayed(0, 30), delayed(1, 10), delayed(2, 20)])

    world.wait(30)

    assert leased_windows(queue) == [hours(1, 2), hours(2, 3), hours(0, 1)]


def test_a_delayed_message_is_counted_as_delayed(queue: Queue, world: World) -> None:
    queue.put([delayed(0, 30), draft(1)])

    before = queue.depth()
    due_at = queue.next_due_at()
    world.wait(30)
    after = queue.depth()

    assert (before.ready, before.delayed, before.leased) == (1, 1, 0)
    assert due_at == T0 + 30_000
    assert (after.ready, after.delayed, after.leased) == (2, 0, 0)


def test_a_window_that_waits_delayed_is_not_queued_twice(queue: Queue) -> None:
    queue.put([delayed(0, 30)])

    assert queue.put([draft(0)]) == 0
    assert lease(queue) == []


def test_a_clock_an_hour_back_hides_nothing_that_was_ready(queue: Queue, world: World) -> None:
    queue.put([draft(0)])
    lease_one(queue)
    world.wait(60)
    queue.release([lease_one(queue)])
    queue.put([draft(1)])

    world.wait(-HOUR_S)

    assert leased_windows(queue) == [hours(0, 1), hours(1, 2)]


def test_a_clock_an_hour_back_takes_no_lease_away(queue: Queue, other: Queue, world: World) -> None:
    queue.put([draft(0), draft(1)])
    first, second = lease(queue, 2)

    world.wait(-HOUR_S)
    world.wait(60)
    stolen = lease(other)
    queue.extend([second], 60)
    queue.ack([first])

    assert stolen == []
    assert queue.depth().leased == 1


def test_a_clock_an_hour_back_delays_a_lease_and_a_retry_by_no_more_than_that(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft(0), draft(1)])
    failed, _held = lease(queue, 2)
    queue.retry(failed, "no room")

    world.wait(-HOUR_S)
    world.wait(HOUR_S + 60)

    assert sorted(leased_windows(other)) == [hours(0, 1), hours(1, 2)]


def test_a_lease_of_the_dead_is_free_however_the_clock_steps(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft(0)])
    lease_one(queue)

    world.wait(-HOUR_S)
    world.dead.add("one")

    assert leased_windows(other) == [hours(0, 1)]


def test_a_clock_an_hour_on_frees_a_lease_and_its_holder_stores_nothing(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft(0)])
    lost = lease_one(queue)

    world.wait(HOUR_S)
    held = lease_one(other)
    with pytest.raises(LeaseLost):
        queue.ack([lost])
    world.wait(-HOUR_S)
    other.ack([held])

    assert queue.depth().messages == 0


def test_steps_of_the_clock_are_no_failures(bench: Bench) -> None:
    queue = bench.open(max_retries=0)
    queue.put([draft(0)])
    for _ in range(6):
        lease_one(queue)
        bench.world.wait(HOUR_S)
        bench.world.wait(-60)

    message = lease_one(queue)

    assert (message.failures, queue.depth().dead) == (0, 0)


def test_the_wait_of_a_retry_is_counted_from_the_clock_as_it_is_then(
    queue: Queue, world: World
) -> None:
    queue.put([draft(0)])
    message = lease_one(queue)
    world.wait(-HOUR_S)

    queue.retry(message, "no room")

    world.wait(9.999)
    assert lease(queue) == []
    world.wait(0.001)
    assert lease_one(queue).failures == 1


def test_the_oldest_age_follows_the_clock_and_is_never_negative(queue: Queue, world: World) -> None:
    queue.put([draft(0)])
    world.wait(-HOUR_S)
    queue.put([draft(1)])

    ages = []
    for seconds in (0, HOUR_S, HOUR_S, -2 * HOUR_S):
        world.wait(seconds)
        ages.append(queue.depth().oldest_age_s)

    assert ages == [0, 0, 3600, 0]
