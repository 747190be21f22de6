"""A dead letter that is brought back: its message begins anew and still knows what it went through.

What every queue back end promises.
"""

from histq.model import Draft, History, Reason
from histq.queues import Queue
from tests.queues import T0, Bench, World, draft, lease, lease_one

PAST = History(queued_at=T0 - 9000, failures=4, deliveries=21)


def brought_back() -> Draft:
    return draft(0)._replace(past=PAST)


def test_a_message_knows_what_it_went_through_before(queue: Queue) -> None:
    queue.put([brought_back()])

    message = lease_one(queue)

    assert message.past == PAST
    assert (message.failures, message.deliveries, message.queued_at) == (0, 1, T0)
    assert message.history == History(T0 - 9000, 4, 22)


def test_a_new_message_has_no_past(queue: Queue) -> None:
    queue.put([draft(0)])

    message = lease_one(queue)

    assert message.past is None
    assert message.history == History(T0, 0, 1)


def test_a_message_brought_back_is_tried_as_often_as_a_new_one(bench: Bench) -> None:
    queue = bench.open(max_retries=2)
    queue.put([brought_back()])

    comes_back = []
    for _ in range(3):
        comes_back.append(queue.retry(lease_one(queue), "no room"))
        bench.world.wait(600)

    assert comes_back == [True, True, False]


def test_what_it_went_through_before_does_not_isolate_a_message(queue: Queue) -> None:
    queue.put([brought_back(), draft(1)])

    assert len(lease(queue, 10)) == 2


def test_a_letter_counts_all_failures_and_deliveries_since_the_first_put(
    queue: Queue, world: World
) -> None:
    queue.put([brought_back()])
    queue.retry(lease_one(queue), "no room")
    world.wait(600)

    queue.bury(lease_one(queue), Reason.PERMANENT, "never")

    (found,) = queue.letters()
    assert (found.queued_at, found.failures, found.deliveries) == (T0 - 9000, 5, 23)


def test_an_exhausted_message_counts_its_last_failure_too(bench: Bench) -> None:
    queue = bench.open(max_retries=0)
    queue.put([brought_back()])

    queue.retry(lease_one(queue), "no room")

    (found,) = queue.letters()
    assert (found.queued_at, found.failures, found.deliveries) == (T0 - 9000, 5, 22)


def test_the_oldest_age_counts_from_when_the_message_came_back(queue: Queue, world: World) -> None:
    queue.put([brought_back()])

    world.wait(3)

    assert queue.depth().oldest_age_s == 3
