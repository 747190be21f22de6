"""What every queue back end promises; how a new one joins is told in `tests/queues/__init__.py`.

With the modules beside this one, those of SQLite left out, this is the whole of it.
"""

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from histq.errors import LeaseLost
from histq.model import (
    DeadLetter,
    Depth,
    Draft,
    Kind,
    Message,
    Priority,
    Reason,
    Series,
    Window,
)
from histq.page import pack
from histq.queues import Queue
from tests.queues import (
    BTC,
    ETH,
    PLENTY,
    T0,
    Bench,
    World,
    draft,
    hours,
    lease,
    lease_one,
    leased_windows,
)

FIRST_HOUR = hours(0, 1)


def letter(
    kind: Kind = Kind.PAGE,
    *,
    series: Series = BTC,
    window: Window = FIRST_HOUR,
    reason: Reason = Reason.POISON,
    error: str = "broken",
    failed_at: int = T0,
    raw_data: str = "{}",
) -> DeadLetter:
    return DeadLetter(
        id=0,
        kind=kind,
        series=series,
        window=window,
        points=1,
        reason=reason,
        error=error,
        failures=2,
        deliveries=3,
        queued_at=T0 - 5000,
        failed_at=failed_at,
        raw_data=raw_data,
    )


def test_an_empty_queue_leases_nothing(queue: Queue) -> None:
    assert lease(queue, 10) == []


def test_put_says_how_many_messages_are_new(queue: Queue) -> None:
    assert queue.put([draft(0), draft(1)]) == 2


def test_a_leased_message_says_all_that_was_put(queue: Queue, world: World) -> None:
    put = draft(7, points=42, series=ETH)
    queue.put([put])
    world.wait(5)

    message = lease_one(queue)

    assert message.id > 0
    assert message.token
    assert message[2:] == (ETH, hours(7, 8), 42, put.body, 0, 1, T0, None, None)


def test_a_message_says_where_its_candles_came_from(queue: Queue, world: World) -> None:
    queue.put([draft(0)._replace(via="BTCUSDT-1h-2024-01.zip")])

    first = lease_one(queue)
    queue.retry(first, "no room")
    world.wait(600)

    assert first.via == "BTCUSDT-1h-2024-01.zip"
    assert lease_one(queue).via == "BTCUSDT-1h-2024-01.zip"


def test_a_window_that_waits_is_not_queued_twice(queue: Queue) -> None:
    queue.put([draft(0, close=1.0)])

    again = queue.put([draft(0, close=2.0), draft(1)])

    assert again == 1
    assert queue.depth().messages == 2
    assert lease_one(queue).body == draft(0, close=1.0).body


def test_a_window_twice_in_one_put_is_queued_once(queue: Queue) -> None:
    assert queue.put([draft(0), draft(0)]) == 1


def test_a_window_that_is_leased_is_not_queued_again(queue: Queue) -> None:
    queue.put([draft(0)])
    lease_one(queue)

    assert queue.put([draft(0)]) == 0


@pytest.mark.parametrize(
    ("series", "window"),
    [
        pytest.param(ETH, hours(0, 1), id="another symbol"),
        pytest.param(BTC._replace(source="kraken"), hours(0, 1), id="another source"),
        pytest.param(BTC._replace(interval="1m"), hours(0, 1), id="another interval"),
        pytest.param(BTC, hours(0, 2), id="another end"),
        pytest.param(BTC, hours(-1, 1), id="another start"),
    ],
)
def test_a_window_of_another_series_or_length_is_queued(
    queue: Queue, series: Series, window: Window
) -> None:
    queue.put([draft(0)])

    assert queue.put([draft(0)._replace(series=series, window=window)]) == 1


def test_a_window_can_be_queued_again_once_it_is_acked(queue: Queue) -> None:
    queue.put([draft(0)])
    queue.ack([lease_one(queue)])

    assert queue.put([draft(0)]) == 1


def test_a_window_can_be_queued_again_once_it_is_buried(queue: Queue) -> None:
    queue.put([draft(0)])
    queue.bury(lease_one(queue), Reason.POISON, "broken")

    assert queue.put([draft(0)]) == 1
    assert lease_one(queue).window == hours(0, 1)


class Torn(list[Draft]):
    """Ends in an error after the first."""

    def __iter__(self) -> Iterator[Draft]:
        yield self[0]
        raise RuntimeError


def test_of_drafts_that_cannot_all_be_put_none_is(queue: Queue) -> None:
    with pytest.raises(RuntimeError):
        queue.put(Torn([draft(0), draft(1)]))

    assert queue.depth().messages == 0


def test_messages_of_a_priority_come_in_the_order_they_were_put(queue: Queue) -> None:
    queue.put([draft(5)])
    queue.put([draft(3), draft(9)])
    queue.put([draft(1)])

    batch = [message.window for message in lease(queue, 3)]
    rest = leased_windows(queue)

    assert batch == [hours(5, 6), hours(3, 4), hours(9, 10)]
    assert rest == [hours(1, 2)]


def test_higher_priorities_come_first(queue: Queue) -> None:
    queue.put([draft(1, priority=Priority.LOW)])
    queue.put([draft(2, priority=Priority.NORMAL)])
    queue.put([draft(3, priority=Priority.HIGH)])

    found = leased_windows(queue)

    assert found == [hours(3, 4), hours(2, 3), hours(1, 2)]


def put_many(queue: Queue, priority: Priority) -> None:
    first = 1000 * priority
    queue.put([draft(hour, priority=priority) for hour in range(first, first + 64)])


def served(queue: Queue, leases: int) -> dict[Priority, int]:
    """How many of so many leases of one message went to each priority of `put_many`."""
    counts = dict.fromkeys(Priority, 0)
    for _ in range(leases):
        hour = lease_one(queue).window.start // 3_600_000
        counts[Priority(hour // 1000)] += 1
    return counts


def test_a_low_priority_gets_a_share_while_higher_ones_wait(queue: Queue) -> None:
    put_many(queue, Priority.HIGH)
    put_many(queue, Priority.LOW)

    counts = served(queue, 32)

    assert 1 <= counts[Priority.LOW] <= 8
    assert counts[Priority.HIGH] == 32 - counts[Priority.LOW]


def test_the_middle_priority_is_not_starved_by_the_ones_around_it(queue: Queue) -> None:
    for priority in Priority:
        put_many(queue, priority)

    counts = served(queue, 64)

    assert counts[Priority.NORMAL] >= 1
    assert counts[Priority.LOW] >= 1
    assert counts[Priority.HIGH] >= 48


def test_a_batch_holds_at_most_the_limit(queue: Queue) -> None:
    queue.put([draft(hour) for hour in range(5)])

    assert len(lease(queue, 3)) == 3


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        pytest.param(120, 3, id="all fit exactly"),
        pytest.param(119, 2, id="one point short"),
        pytest.param(80, 2, id="two fit exactly"),
        pytest.param(79, 1, id="the first alone"),
        pytest.param(40, 1, id="the first exactly"),
        pytest.param(1, 1, id="the first is too big and still comes"),
    ],
)
def test_a_batch_holds_at_most_the_points_past_its_first(
    queue: Queue, points: int, expected: int
) -> None:
    queue.put([draft(hour, points=40) for hour in range(3)])

    assert len(lease(queue, 10, points)) == expected


def test_a_lease_hides_its_message_until_it_runs_out(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft()])
    lease_one(queue)

    world.wait(59.999)

    assert lease(other) == []
    assert lease(queue) == []


def test_a_message_comes_back_when_its_lease_has_run_out(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft()])
    first = lease_one(queue)

    world.wait(60)
    second = lease_one(other)

    assert (second.id, second.window) == (first.id, first.window)
    assert second.token != first.token
    assert (second.failures, second.deliveries) == (0, 2)


def test_extend_hides_a_message_from_now_on(queue: Queue, other: Queue, world: World) -> None:
    queue.put([draft()])
    message = lease_one(queue)

    world.wait(50)
    queue.extend([message], 60)

    world.wait(59.999)
    assert lease(other) == []
    world.wait(0.001)
    assert len(lease(other)) == 1


def test_extend_may_shorten_a_lease(queue: Queue, other: Queue, world: World) -> None:
    queue.put([draft()])
    queue.extend([lease_one(queue)], 1)

    world.wait(1)

    assert len(lease(other)) == 1


def test_a_lease_ends_to_the_millisecond(queue: Queue) -> None:
    queue.put([draft()])

    (message,) = queue.lease(1, PLENTY, 0.25)
    leased_until = queue.next_due_at()
    queue.extend([message], 1.125)

    assert leased_until == T0 + 250
    assert queue.next_due_at() == T0 + 1125


def test_extend_of_a_batch_in_which_a_lease_is_lost_extends_none(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft(0), draft(1)])
    kept = lease_one(queue)
    lost = lease_one(queue)
    queue.extend([kept], 100)
    world.wait(60)
    lease_one(other)

    with pytest.raises(LeaseLost):
        queue.extend([kept, lost], 1000)

    world.wait(40)
    assert leased_windows(other) == [kept.window]


def test_an_extended_lease_can_still_ack(queue: Queue, world: World) -> None:
    queue.put([draft()])
    message = lease_one(queue)
    world.wait(50)
    queue.extend([message], 60)
    world.wait(50)

    queue.ack([message])

    assert queue.depth().messages == 0


def test_a_clock_that_steps_back_hides_nothing_that_is_ready(queue: Queue, world: World) -> None:
    queue.put([draft()])

    world.wait(-86_400)

    assert len(lease(queue)) == 1


Settle = Callable[[Queue, Message], object]
SETTLES = [
    pytest.param(lambda queue, message: queue.ack([message]), id="ack"),
    pytest.param(lambda queue, message: queue.retry(message, "late"), id="retry"),
    pytest.param(lambda queue, message: queue.extend([message], 600), id="extend"),
    pytest.param(lambda queue, message: queue.bury(message, Reason.POISON, "late"), id="bury"),
]


@pytest.mark.parametrize("settle", SETTLES)
def test_a_lost_lease_can_settle_nothing_of_a_message_that_another_holds(
    queue: Queue, other: Queue, world: World, settle: Settle
) -> None:
    queue.put([draft()])
    lost = lease_one(queue)
    world.wait(60)
    held = lease_one(other)
    before = queue.depth()

    with pytest.raises(LeaseLost):
        settle(queue, lost)

    assert queue.depth() == before
    other.ack([held])
    assert queue.depth().messages == 0


@pytest.mark.parametrize("settle", SETTLES)
def test_a_lost_lease_can_settle_nothing_within_one_process(
    queue: Queue, world: World, settle: Settle
) -> None:
    queue.put([draft()])
    lost = lease_one(queue)
    world.wait(60)
    held = lease_one(queue)

    with pytest.raises(LeaseLost):
        settle(queue, lost)

    queue.ack([held])
    assert queue.depth().messages == 0


@pytest.mark.parametrize("settle", SETTLES)
def test_a_lost_lease_can_settle_nothing_that_came_after_its_message(
    queue: Queue, other: Queue, world: World, settle: Settle
) -> None:
    queue.put([draft(0)])
    lost = lease_one(queue)
    world.wait(60)
    other.ack([lease_one(other)])
    queue.put([draft(0)])
    stranger = lease_one(other)

    with pytest.raises(LeaseLost):
        settle(queue, lost)

    assert queue.depth().leased == 1
    assert queue.depth().dead == 0
    other.ack([stranger])


@pytest.mark.parametrize("settle", SETTLES)
def test_a_lost_lease_can_settle_nothing_where_id_and_attempts_are_the_same(
    queue: Queue, other: Queue, settle: Settle
) -> None:
    queue.put([draft(0)])
    lost = lease_one(queue)
    queue.release([lost])
    held = lease_one(other)
    assert held._replace(token=lost.token) == lost

    with pytest.raises(LeaseLost):
        settle(queue, lost)

    assert (queue.depth().leased, queue.depth().dead) == (1, 0)
    other.ack([held])


@pytest.mark.parametrize("settle", SETTLES)
def test_a_lease_that_ran_out_and_that_nobody_took_is_still_good(
    queue: Queue, world: World, settle: Settle
) -> None:
    queue.put([draft(0)])
    message = lease_one(queue)

    world.wait(3600)
    settle(queue, message)

    assert queue.depth().ready == 0


@pytest.mark.parametrize("settle", SETTLES)
def test_a_message_that_was_acked_cannot_be_settled_again(queue: Queue, settle: Settle) -> None:
    queue.put([draft()])
    message = lease_one(queue)
    queue.ack([message])

    with pytest.raises(LeaseLost):
        settle(queue, message)

    assert queue.depth() == Depth(0, 0, 0, 0, 0, 0, None)


def test_a_message_goes_to_one_of_many_who_lease_at_once(bench: Bench) -> None:
    bench.open().put([draft(hour) for hour in range(40)])

    def lease_all(owner: str) -> list[int]:
        with bench.opened(owner) as queue:
            batches = iter(lambda: lease(queue), [])
            return [message.id for batch in batches for message in batch]

    with ThreadPoolExecutor(4) as pool:
        found = list(chain.from_iterable(pool.map(lease_all, "abcd")))

    assert len(found) == 40
    assert len(set(found)) == 40


def test_an_id_is_never_used_twice(queue: Queue) -> None:
    queue.put([draft(0)])
    first = lease_one(queue)
    queue.ack([first])
    queue.put([draft(1)])

    second = lease_one(queue)

    assert second.id != first.id


def test_an_id_is_not_used_again_by_who_opens_the_queue_later(bench: Bench) -> None:
    with bench.opened("one") as queue:
        queue.put([draft(0)])
        first = lease_one(queue)
        queue.ack([first])

    with bench.opened("one") as queue:
        queue.put([draft(0)])
        second = lease_one(queue)

    assert second.id != first.id
    assert second.token != first.token


@pytest.mark.parametrize("settle", SETTLES)
def test_a_lost_lease_can_settle_nothing_of_what_another_thread_of_its_process_holds(
    bench: Bench, settle: Settle
) -> None:
    thread, sibling = bench.open("one"), bench.open("one")
    thread.put([draft(0)])
    lost = lease_one(thread)
    bench.world.wait(60)
    held = lease_one(sibling)

    with pytest.raises(LeaseLost):
        settle(thread, lost)

    sibling.ack([held])
    assert thread.depth().messages == 0


def test_a_lost_lease_hands_nothing_back(queue: Queue, other: Queue, world: World) -> None:
    queue.put([draft()])
    lost = lease_one(queue)
    world.wait(60)
    held = lease_one(other)

    queue.release([lost])

    assert lease(queue) == []
    other.ack([held])


def test_ack_of_a_batch_in_which_a_lease_is_lost_acks_none(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft(0), draft(1)])
    kept = lease_one(queue)
    queue.extend([kept], 600)
    lost = lease_one(queue)
    world.wait(60)
    lease_one(other)

    with pytest.raises(LeaseLost):
        queue.ack([kept, lost])

    assert queue.depth().messages == 2
    queue.ack([kept])


def test_what_was_done_beside_a_lost_lease_is_undone(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft(0)])
    lost = lease_one(queue)
    world.wait(60)
    lease_one(other)

    def work() -> None:
        with queue.transaction():
            queue.put([draft(1)])
            queue.keep([letter()])
            queue.ack([lost])

    with pytest.raises(LeaseLost):
        work()

    assert (queue.depth().messages, queue.depth().dead) == (1, 0)


def fail(queue: Queue, world: World, times: int) -> None:
    """Leases the one message and reports its failure, so many times; it is due again after."""
    for _ in range(times):
        assert queue.retry(lease_one(queue), "no room")
        world.wait(600)


@pytest.mark.parametrize(
    ("earlier", "fraction", "delay_s"),
    [
        pytest.param(0, 0.0, 10, id="first, no jitter"),
        pytest.param(1, 0.0, 20, id="second, no jitter"),
        pytest.param(2, 0.0, 40, id="third, no jitter"),
        pytest.param(0, 1.0, 11, id="first, all jitter"),
        pytest.param(1, 1.0, 22, id="second, all jitter"),
        pytest.param(2, 1.0, 44, id="third, all jitter"),
        pytest.param(5, 0.0, 300, id="capped, no jitter"),
        pytest.param(5, 1.0, 330, id="capped, all jitter"),
    ],
)
def test_a_failed_message_waits_and_comes_back(
    bench: Bench, earlier: int, fraction: float, delay_s: int
) -> None:
    queue = bench.open(max_retries=10)
    queue.put([draft()])
    fail(queue, bench.world, earlier)
    bench.world.fraction = fraction

    comes_back = queue.retry(lease_one(queue), "no room")

    assert comes_back
    bench.world.wait(delay_s - 0.001)
    assert lease(queue) == []
    bench.world.wait(0.001)
    assert lease_one(queue).failures == earlier + 1


def test_a_message_waiting_to_be_tried_again_keeps_nobody_waiting(queue: Queue) -> None:
    queue.put([draft(0), draft(1)])
    queue.retry(lease_one(queue), "no room")

    assert leased_windows(queue) == [hours(1, 2)]


def test_after_three_retries_the_fourth_failure_buries(queue: Queue, world: World) -> None:
    queue.put([draft(7, points=1, close=2.5)])
    fail(queue, world, 3)

    comes_back = queue.retry(lease_one(queue), "still no room")

    assert not comes_back
    (found,) = queue.letters()
    assert found.id > 0
    assert found._replace(id=0, raw_data="") == DeadLetter(
        id=0,
        kind=Kind.PAGE,
        series=BTC,
        window=hours(7, 8),
        points=1,
        reason=Reason.EXHAUSTED,
        error="still no room",
        failures=4,
        deliveries=4,
        queued_at=T0,
        failed_at=T0 + 1_800_000,
        raw_data="",
    )
    (candle,) = json.loads(found.raw_data)["candles"]
    assert (candle["timestamp"], candle["close"], candle["open"]) == (25_200_000, 2.5, None)
    assert queue.depth().messages == 0


def test_with_no_retries_the_first_failure_buries(bench: Bench) -> None:
    queue = bench.open(max_retries=0)
    queue.put([draft()])

    assert not queue.retry(lease_one(queue), "no room")
    assert queue.depth().dead == 1


def test_a_lease_that_ran_out_is_no_failure(queue: Queue, world: World) -> None:
    queue.put([draft()])
    for _ in range(6):
        lease_one(queue)
        world.wait(60)

    message = lease_one(queue)

    assert (message.failures, message.deliveries) == (0, 7)
    assert queue.retry(message, "no room")


def test_a_buried_message_is_a_letter_and_gone(queue: Queue, world: World) -> None:
    queue.put([draft(3)])
    message = lease_one(queue)
    world.wait(2)

    queue.bury(message, Reason.PERMANENT, "cannot be stored")

    (found,) = queue.letters()
    assert (found.kind, found.reason, found.error) == (
        Kind.PAGE,
        Reason.PERMANENT,
        "cannot be stored",
    )
    assert (found.window, found.failures, found.deliveries) == (hours(3, 4), 0, 1)
    assert (found.queued_at, found.failed_at) == (T0, T0 + 2000)
    assert queue.depth() == Depth(0, 0, 0, 0, 0, 1, None)


def test_a_buried_message_keeps_its_points(queue: Queue) -> None:
    queue.put([draft(points=42)])

    queue.bury(lease_one(queue), Reason.POISON, "broken")

    (found,) = queue.letters()
    assert found.points == 42


def test_a_body_that_is_no_page_is_buried_as_it_is(queue: Queue) -> None:
    queue.put([draft()._replace(body=b"\xff\x00")])

    queue.bury(lease_one(queue), Reason.POISON, "does not unpack")

    (found,) = queue.letters()
    assert json.loads(found.raw_data) == {"packed": "/wA="}


def test_a_page_with_infinite_numbers_is_buried_as_strict_json(queue: Queue) -> None:
    flat = [0, None, float("inf"), None, float("nan"), *[None] * 6]
    queue.put([draft()._replace(body=pack(flat))])

    queue.bury(lease_one(queue), Reason.POISON, "not finite")

    (found,) = queue.letters()
    (candle,) = json.loads(found.raw_data)["candles"]
    assert (candle["high"], candle["close"]) == ("inf", "nan")


def test_a_released_message_is_as_if_never_leased(queue: Queue, other: Queue) -> None:
    queue.put([draft(0), draft(1)])
    queue.release([lease_one(queue)])

    first, second = lease(other, 10)

    assert (first.window, first.deliveries, first.failures) == (hours(0, 1), 1, 0)
    assert second.window == hours(1, 2)


def test_a_released_message_can_no_longer_be_settled(queue: Queue) -> None:
    queue.put([draft()])
    message = lease_one(queue)
    queue.release([message])

    with pytest.raises(LeaseLost):
        queue.ack([message])

    assert queue.depth().ready == 1


def test_a_lease_that_ran_out_is_released_too(queue: Queue, world: World) -> None:
    queue.put([draft()])
    message = lease_one(queue)
    world.wait(3600)

    queue.release([message])

    with pytest.raises(LeaseLost):
        queue.ack([message])
    assert lease_one(queue).deliveries == 1


def test_released_together_they_are_ready_in_their_old_order(queue: Queue, other: Queue) -> None:
    queue.put([draft(0), draft(1), draft(2)])
    first, second, third = lease(queue, 3)

    queue.release([third, first])
    queue.release([second])

    assert leased_windows(other) == [hours(0, 1), hours(1, 2), hours(2, 3)]


def test_closing_releases_nothing(bench: Bench, other: Queue) -> None:
    with bench.opened("one") as queue:
        queue.put([draft()])
        message = lease_one(queue)

    assert lease(other) == []
    other.ack([message])
    assert other.depth().messages == 0


def test_releasing_twice_counts_once(queue: Queue) -> None:
    queue.put([draft()])
    message = lease_one(queue)
    queue.release([message])
    queue.release([message])

    assert lease_one(queue).deliveries == 1


def kill(queue: Queue, world: World, times: int) -> None:
    """Leases all there is and lets the leases run out, so many times."""
    for _ in range(times):
        assert lease(queue, 100)
        world.wait(60)


def test_a_message_whose_consumers_died_three_times_is_leased_alone(
    queue: Queue, world: World
) -> None:
    queue.put([draft(0)])
    kill(queue, world, 3)
    queue.put([draft(1), draft(2)])

    batches = [leased_windows(queue) for _ in range(2)]

    assert sorted(batches) == [[hours(0, 1)], [hours(1, 2), hours(2, 3)]]


def test_a_message_that_kills_and_comes_first_takes_no_neighbour_along(
    queue: Queue, world: World
) -> None:
    queue.put([draft(0, priority=Priority.HIGH)])
    kill(queue, world, 3)
    queue.put([draft(1)])

    batches = [leased_windows(queue) for _ in range(2)]

    assert batches == [[hours(0, 1)], [hours(1, 2)]]


def test_messages_that_killed_together_are_leased_one_by_one(queue: Queue, world: World) -> None:
    queue.put([draft(0), draft(1), draft(2)])
    kill(queue, world, 3)

    batches = [leased_windows(queue) for _ in range(3)]

    assert sorted(batches) == [[hours(0, 1)], [hours(1, 2)], [hours(2, 3)]]


def test_a_message_whose_consumers_died_twice_has_neighbours(queue: Queue, world: World) -> None:
    queue.put([draft(0)])
    kill(queue, world, 2)
    queue.put([draft(1)])

    assert len(lease(queue, 10)) == 2


def test_reported_failures_do_not_isolate(bench: Bench) -> None:
    queue = bench.open(max_retries=10)
    queue.put([draft(0)])
    fail(queue, bench.world, 4)
    queue.put([draft(1)])

    assert len(lease(queue, 10)) == 2


def test_a_failure_in_between_makes_no_death_undone(queue: Queue, world: World) -> None:
    queue.put([draft(0)])
    kill(queue, world, 2)
    fail(queue, world, 1)
    kill(queue, world, 1)
    queue.put([draft(1)])

    batches = [leased_windows(queue) for _ in range(2)]

    assert sorted(batches) == [[hours(0, 1)], [hours(1, 2)]]


def test_handing_back_does_not_isolate(queue: Queue) -> None:
    queue.put([draft(0), draft(1)])
    for _ in range(4):
        queue.release(lease(queue, 10))

    assert len(lease(queue, 10)) == 2


def test_leases_of_a_dead_owner_are_free_at_once(queue: Queue, other: Queue, world: World) -> None:
    queue.put([draft(0), draft(1)])
    lease(queue, 2)

    world.dead.add("one")
    found = lease(other, 10)

    assert [message.window for message in found] == [hours(0, 1), hours(1, 2)]
    assert [message.deliveries for message in found] == [2, 2]


def test_all_that_the_dead_held_is_free_with_one_lease(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft(0), draft(1)])
    _taken, left = lease(queue, 2)
    before = other.depth()

    world.dead.add("one")
    lease_one(other)

    assert (before.ready, before.leased) == (0, 2)
    assert (other.depth().ready, other.depth().leased) == (1, 1)
    with pytest.raises(LeaseLost):
        queue.ack([left])


def test_leases_of_a_living_owner_are_left_alone(
    bench: Bench, queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft(0), draft(1)])
    lease_one(queue)
    lease_one(bench.open("gone"))

    world.dead.add("gone")
    found = leased_windows(other)

    assert found == [hours(1, 2)]


def test_what_a_dead_owner_released_or_failed_stays_as_it_was(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft(0)])
    queue.retry(lease_one(queue), "no room")

    world.dead.add("one")

    assert lease(other) == []


def test_a_dead_owner_that_lives_after_all_has_lost_its_lease(
    queue: Queue, other: Queue, world: World
) -> None:
    queue.put([draft()])
    lost = lease_one(queue)
    world.dead.add("one")
    lease_one(other)

    with pytest.raises(LeaseLost):
        queue.ack([lost])


def test_depth_of_an_empty_queue_is_nothing(queue: Queue) -> None:
    assert queue.depth() == Depth(
        messages=0, points=0, ready=0, leased=0, delayed=0, dead=0, oldest_age_s=None
    )


def test_depth_tells_ready_leased_delayed_and_dead_apart(queue: Queue, world: World) -> None:
    queue.put([draft(hour, points=10**hour) for hour in range(4)])
    world.wait(1.5)
    buried, failed, _held = lease(queue, 3)
    queue.bury(buried, Reason.POISON, "broken")
    queue.retry(failed, "no room")

    assert queue.depth() == Depth(
        messages=3, points=1110, ready=1, leased=1, delayed=1, dead=1, oldest_age_s=1.5
    )


def test_depth_counts_a_lease_that_ran_out_as_ready(queue: Queue, world: World) -> None:
    queue.put([draft()])
    lease_one(queue)

    world.wait(60)

    assert (queue.depth().ready, queue.depth().leased) == (1, 0)


def test_depth_counts_a_failed_message_as_ready_once_it_is_due(queue: Queue, world: World) -> None:
    queue.put([draft()])
    queue.retry(lease_one(queue), "no room")

    world.wait(10)

    assert (queue.depth().ready, queue.depth().delayed) == (1, 0)


def test_the_oldest_age_falls_when_the_oldest_message_is_done(queue: Queue, world: World) -> None:
    queue.put([draft(0)])
    world.wait(30)
    queue.put([draft(1)])
    world.wait(12)
    before = queue.depth().oldest_age_s

    queue.ack([lease_one(queue)])

    assert before == 42
    assert queue.depth().oldest_age_s == 12


def test_the_oldest_age_is_never_negative(queue: Queue, world: World) -> None:
    queue.put([draft()])

    world.wait(-5)

    assert queue.depth().oldest_age_s == 0


def test_depth_agrees_with_a_recount_by_leasing_all(queue: Queue) -> None:
    queue.put([draft(hour, points=hour, priority=Priority(hour % 3)) for hour in range(1, 12)])

    depth = queue.depth()
    found = lease(queue, 100)

    assert (depth.messages, depth.ready) == (len(found), len(found))
    assert depth.points == sum(message.points for message in found) == 66


def test_nothing_is_due_in_an_empty_queue(queue: Queue) -> None:
    assert queue.next_due_at() is None


def test_the_next_message_is_due_when_its_lease_runs_out(queue: Queue) -> None:
    queue.put([draft()])
    lease_one(queue)

    assert queue.next_due_at() == T0 + 60_000


@pytest.mark.parametrize("priority", [pytest.param(p, id=p.name.lower()) for p in Priority])
def test_the_next_message_is_due_when_its_wait_is_over(queue: Queue, priority: Priority) -> None:
    queue.put([draft(0, priority=priority), draft(1, priority=Priority.LOW)])
    failed, _held = lease(queue, 2)
    queue.retry(failed, "no room")

    assert queue.next_due_at() == T0 + 10_000


def test_a_message_that_is_ready_is_none_that_comes_back(queue: Queue) -> None:
    queue.put([draft(0), draft(1)])
    lease_one(queue)

    assert queue.next_due_at() == T0 + 60_000


def test_a_kept_letter_reads_as_it_was_written(queue: Queue) -> None:
    written = letter(Kind.CANDLE, series=ETH, window=hours(4, 5), raw_data='{"candles": []}')

    queue.keep([written])

    (found,) = queue.letters()
    assert found.id > 0
    assert found._replace(id=0) == written


def test_letters_come_newest_first(queue: Queue) -> None:
    queue.keep([letter(error="first"), letter(error="second")])
    queue.keep([letter(error="third")])

    assert [found.error for found in queue.letters()] == ["third", "second", "first"]
    assert [found.error for found in queue.letters(limit=2)] == ["third", "second"]


def test_letters_are_found_by_id(queue: Queue) -> None:
    queue.keep([letter(error="first"), letter(error="second"), letter(error="third")])
    third, _second, first = queue.letters()

    found = queue.letters([first.id, third.id, 999])

    assert [found_letter.error for found_letter in found] == ["third", "first"]
    assert queue.letters([]) == []


def test_drop_deletes_letters_and_says_how_many_there_were(queue: Queue) -> None:
    queue.keep([letter(error="first"), letter(error="second")])
    second, first = queue.letters()

    assert queue.drop([first.id, 999]) == 1
    assert queue.letters() == [second]
    assert queue.drop([first.id]) == 0


def test_the_letter_kept_last_is_the_newest_whenever_it_failed(queue: Queue) -> None:
    queue.keep([letter(error="first", failed_at=T0 + 9), letter(error="second", failed_at=T0)])

    assert [found.error for found in queue.letters()] == ["second", "first"]


def test_a_limit_is_one_of_the_letters_that_are_meant(queue: Queue) -> None:
    queue.keep([letter(error=str(number)) for number in range(4)])
    _third, *older = queue.letters()

    found = queue.letters([one.id for one in older], limit=2)

    assert [one.error for one in found] == ["2", "1"]


def test_an_id_of_a_letter_is_never_used_twice(queue: Queue) -> None:
    queue.keep([letter()])
    (first,) = queue.letters()
    queue.drop([first.id])
    queue.keep([letter()])

    (second,) = queue.letters()

    assert second.id != first.id


def test_two_pages_of_one_window_are_two_letters(queue: Queue) -> None:
    queue.keep([letter(Kind.PAGE), letter(Kind.PAGE)])

    assert queue.depth().dead == 2


def test_a_later_body_for_the_same_window_replaces_the_letter(queue: Queue) -> None:
    queue.keep([letter(Kind.BODY, error="cut off", raw_data='{"body": "a"}')])

    queue.keep([letter(Kind.BODY, error="not JSON", failed_at=T0 + 1, raw_data='{"body": "b"}')])

    (found,) = queue.letters()
    assert (found.error, found.failed_at) == ("not JSON", T0 + 1)
    assert found.raw_data == '{"body": "b"}'


@pytest.mark.parametrize(
    ("kind", "error"),
    [pytest.param(Kind.BODY, "later", id="body"), pytest.param(Kind.CANDLE, "first", id="candle")],
)
def test_a_letter_that_is_renewed_keeps_its_place_and_its_counts(
    queue: Queue, kind: Kind, error: str
) -> None:
    queue.keep([letter(kind, error="first"), letter(error="a page")])
    _page, first = queue.letters()
    later = letter(kind, error="later", failed_at=T0 + 9, reason=Reason.PERMANENT)

    queue.keep([later._replace(points=7, failures=7, deliveries=7, queued_at=T0)])

    _page, renewed = queue.letters()
    assert renewed == first._replace(error=error, failed_at=T0 + 9)


@pytest.mark.parametrize(
    ("series", "window"),
    [
        pytest.param(BTC, hours(0, 2), id="another window"),
        pytest.param(ETH, hours(0, 1), id="another symbol"),
        pytest.param(BTC._replace(source="kraken"), hours(0, 1), id="another source"),
        pytest.param(BTC._replace(interval="1m"), hours(0, 1), id="another interval"),
    ],
)
@pytest.mark.parametrize("kind", [Kind.BODY, Kind.CANDLE])
def test_a_body_or_candle_of_something_else_is_another_letter(
    queue: Queue, kind: Kind, series: Series, window: Window
) -> None:
    queue.keep([letter(kind)])

    queue.keep([letter(kind, series=series, window=window)])

    assert queue.depth().dead == 2


def test_the_same_bad_candle_twice_is_one_letter(queue: Queue) -> None:
    queue.keep([letter(Kind.CANDLE, raw_data='{"candles": [1]}')])

    queue.keep([letter(Kind.CANDLE, raw_data='{"candles": [1]}', failed_at=T0 + 9)])

    (found,) = queue.letters()
    assert found.failed_at == T0 + 9


def test_two_different_bad_candles_of_one_slot_are_two_letters(queue: Queue) -> None:
    queue.keep([letter(Kind.CANDLE, raw_data='{"candles": [1]}')])

    queue.keep([letter(Kind.CANDLE, raw_data='{"candles": [2]}')])

    assert [found.raw_data for found in queue.letters()] == ['{"candles": [2]}', '{"candles": [1]}']


def test_supersede_deletes_the_bodies_of_windows_within(queue: Queue) -> None:
    queue.keep(
        [
            letter(Kind.BODY, window=hours(2, 4)),
            letter(Kind.BODY, window=hours(4, 8)),
            letter(Kind.BODY, window=hours(1, 3), error="begins before"),
            letter(Kind.BODY, window=hours(7, 9), error="ends after"),
            letter(Kind.BODY, window=hours(2, 4), series=ETH, error="another series"),
            letter(Kind.CANDLE, window=hours(2, 3), error="a candle"),
            letter(Kind.PAGE, window=hours(2, 4), error="a page"),
        ]
    )

    superseded = queue.supersede(BTC, hours(2, 8))

    assert superseded == 2
    assert {found.error for found in queue.letters()} == {
        "begins before",
        "ends after",
        "another series",
        "a candle",
        "a page",
    }


def test_the_latest_dead_letter_is_the_one_that_failed_last(queue: Queue) -> None:
    assert queue.buried_at() is None
    queue.keep([letter(Kind.CANDLE, raw_data='{"candles": [1]}', failed_at=T0)])
    queue.keep([letter(failed_at=T0 + 5)])

    queue.keep([letter(Kind.CANDLE, raw_data='{"candles": [1]}', failed_at=T0 + 9)])

    assert queue.buried_at() == T0 + 9


def test_dead_letters_are_counted_by_series_and_reason(queue: Queue) -> None:
    queue.keep([letter(series=ETH, reason=Reason.EXHAUSTED, error="no room")])
    queue.keep([letter(error="earlier", failed_at=T0), letter(error="latest", failed_at=T0 + 7)])
    queue.keep([letter(error="earliest", failed_at=T0 - 7)])

    first, second = queue.dead_by_error()

    assert (first.symbol, first.reason, first.letters) == ("BTCUSDT", "poison", 3)
    assert (first.last_at, first.error) == (T0 + 7, "latest")
    assert (second.source, second.symbol, second.interval) == ("binance", "ETHUSDT", "1h")
    assert (second.reason, second.letters, second.error) == ("exhausted", 1, "no room")


def test_reasons_of_one_series_are_counted_apart(queue: Queue) -> None:
    queue.keep([letter(reason=Reason.POISON), letter(reason=Reason.PERMANENT)])

    assert {count.reason: count.letters for count in queue.dead_by_error()} == {
        "poison": 1,
        "permanent": 1,
    }


def test_what_is_kept_in_a_transaction_that_fails_is_not_kept(queue: Queue) -> None:
    def work() -> None:
        with queue.transaction():
            queue.keep([letter()])
            queue.put([draft()])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()

    assert queue.depth() == Depth(0, 0, 0, 0, 0, 0, None)


def test_what_joins_a_transaction_is_undone_with_it(queue: Queue) -> None:
    def work() -> None:
        with queue.transaction():
            with queue.transaction():
                queue.put([draft(0)])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()

    assert queue.depth().messages == 0


def test_leases_and_what_settles_them_are_undone_too(queue: Queue, other: Queue) -> None:
    queue.put([draft(0), draft(1), draft(2), draft(3)])
    acked, failed, buried = lease(queue, 3)

    def work() -> None:
        with queue.transaction():
            queue.ack([acked])
            queue.retry(failed, "no room")
            queue.bury(buried, Reason.POISON, "broken")
            lease_one(queue)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        work()

    queue.ack([acked, failed, buried])
    assert queue.depth() == Depth(1, 1, 1, 0, 0, 0, 0)
    assert leased_windows(other) == [hours(3, 4)]
