"""Any order of calls, by processes that live and die, against a queue that is a Python list."""

import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from histq.errors import LeaseLost
from histq.model import Depth, Message, Priority, Reason, Window
from histq.queues import ALONE_AFTER, Queue
from tests.queues import BACK_ENDS, Bench, draft

MAX_RETRIES = 2
BACKOFF_MS = {1: 10_000, 2: 20_000}
PLACES = ("left", "right")

picks = st.integers(0, 10**6)


@dataclass
class Waiting:
    """A message as the model knows it."""

    order: int
    window: Window
    priority: Priority
    points: int
    queued_at: int
    available_at: int = 0
    token: str | None = None
    owner: str | None = None
    failures: int = 0
    deliveries: int = 0

    @property
    def alone(self) -> bool:
        return self.deliveries - self.failures >= ALONE_AFTER

    def free(self, available_at: int) -> None:
        self.token = self.owner = None
        self.available_at = available_at


class QueueMachine(RuleBasedStateMachine):
    """Two places where a consumer runs; when it dies, a new one starts there."""

    back_end: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        folder = self._stack.enter_context(tempfile.TemporaryDirectory())
        self._bench = Bench(BACK_ENDS[self.back_end], Path(folder), self._stack)
        self._world = self._bench.world
        self._owners = {place: f"{place}-1" for place in PLACES}
        self._queues = {place: self._open(place) for place in PLACES}
        self._waiting: list[Waiting] = []
        self._held: list[tuple[str, Message]] = []
        self._put = 0
        self._dead = 0

    def _open(self, place: str) -> Queue:
        return self._bench.open(self._owners[place], MAX_RETRIES)

    def teardown(self) -> None:
        self._stack.close()

    @rule(
        hour=st.integers(0, 9),
        points=st.integers(0, 5),
        priority=st.sampled_from(Priority),
        delay_s=st.sampled_from((0, 0, 5, 40)),
    )
    def put(self, hour: int, points: int, priority: Priority, delay_s: int) -> None:
        available_at = self._world.now + delay_s * 1000 if delay_s else 0
        page = draft(hour, points=points, priority=priority)._replace(available_at=available_at)
        new = all(waiting.window != page.window for waiting in self._waiting)

        put = self._queues["left"].put([page])

        assert put == new
        if new:
            self._put += 1
            put_at = self._world.now
            self._waiting.append(
                Waiting(self._put, page.window, priority, points, put_at, available_at)
            )

    @rule(
        place=st.sampled_from(PLACES),
        limit=st.integers(1, 4),
        points=st.integers(0, 9),
        lease_s=st.sampled_from((1, 30, 60)),
    )
    def lease(self, place: str, limit: int, points: int, lease_s: int) -> None:
        for waiting in self._waiting:
            if waiting.owner in self._world.dead:
                waiting.free(0)
        due = self._due()

        found = self._queues[place].lease(limit, points, lease_s)

        self._check_choice(found, due, limit, points)
        for message in found:
            self._take(message, place, lease_s)

    def _due(self) -> list[Waiting]:
        due = [waiting for waiting in self._waiting if waiting.available_at <= self._world.now]
        return sorted(due, key=lambda waiting: (waiting.available_at, waiting.order))

    def _check_choice(
        self, found: Sequence[Message], due: Sequence[Waiting], limit: int, points: int
    ) -> None:
        """Which priority comes first is the back end's; all else about the choice is promised."""
        assert bool(found) == bool(due)
        assert len(found) <= limit
        assert len(found) <= 1 or sum(message.points for message in found) <= points
        chosen = [self._of(message.window) for message in found]
        assert len(chosen) <= 1 or not any(waiting.alone for waiting in chosen)
        for priority in Priority:
            own = [waiting for waiting in chosen if waiting.priority == priority]
            assert own == [w for w in due if w.priority == priority][: len(own)]
        if found and len(found) < min(limit, len(due)) and not chosen[0].alone:
            left = [waiting for waiting in due if waiting not in chosen]
            room = points - sum(message.points for message in found)
            assert any(waiting.alone or waiting.points > room for waiting in left)

    def _of(self, window: Window) -> Waiting:
        (found,) = [waiting for waiting in self._waiting if waiting.window == window]
        return found

    def _take(self, message: Message, place: str, lease_s: int) -> None:
        waiting = self._of(message.window)
        waiting.deliveries += 1
        waiting.token, waiting.owner = message.token, self._owners[place]
        waiting.available_at = self._world.now + lease_s * 1000
        assert (message.failures, message.deliveries) == (waiting.failures, waiting.deliveries)
        assert (message.points, message.queued_at) == (waiting.points, waiting.queued_at)
        self._held.append((place, message))

    def _picked(self, pick: int) -> tuple[Queue, Message, Waiting | None]:
        """A lease that was once given, held or lost, and its message where it is held."""
        place, message = self._held[pick % len(self._held)]
        holder = [waiting for waiting in self._waiting if waiting.token == message.token]
        match = [waiting for waiting in holder if waiting.window == message.window]
        return self._queues[place], message, match[0] if match else None

    @precondition(lambda self: self._held)
    @rule(chosen=st.lists(picks, min_size=1, max_size=3))
    def ack(self, chosen: list[int]) -> None:
        picked = {
            message.id: (queue, message, w) for queue, message, w in map(self._picked, chosen)
        }
        messages = [message for _, message, _ in picked.values()]
        queue = next(queue for queue, _, _ in picked.values())

        if any(waiting is None for _, _, waiting in picked.values()):
            with pytest.raises(LeaseLost):
                queue.ack(messages)
        else:
            queue.ack(messages)
            done = [waiting for _, _, waiting in picked.values()]
            self._waiting = [waiting for waiting in self._waiting if waiting not in done]

    @precondition(lambda self: self._held)
    @rule(pick=picks)
    def retry(self, pick: int) -> None:
        queue, message, waiting = self._picked(pick)

        if waiting is None:
            with pytest.raises(LeaseLost):
                queue.retry(message, "no room")
            return

        comes_back = queue.retry(message, "no room")

        waiting.failures += 1
        assert comes_back == (waiting.failures <= MAX_RETRIES)
        if comes_back:
            waiting.free(self._world.now + BACKOFF_MS[waiting.failures])
        else:
            self._waiting.remove(waiting)
            self._dead += 1
            (letter,) = queue.letters(limit=1)
            assert (letter.window, letter.reason) == (message.window, Reason.EXHAUSTED)
            assert (letter.failures, letter.deliveries) == (3, waiting.deliveries)

    @precondition(lambda self: self._held)
    @rule(pick=picks)
    def bury(self, pick: int) -> None:
        queue, message, waiting = self._picked(pick)

        if waiting is None:
            with pytest.raises(LeaseLost):
                queue.bury(message, Reason.POISON, "broken")
        else:
            queue.bury(message, Reason.POISON, "broken")
            self._waiting.remove(waiting)
            self._dead += 1

    @precondition(lambda self: self._held)
    @rule(pick=picks, lease_s=st.sampled_from((1, 45)))
    def extend(self, pick: int, lease_s: int) -> None:
        queue, message, waiting = self._picked(pick)

        if waiting is None:
            with pytest.raises(LeaseLost):
                queue.extend([message], lease_s)
        else:
            queue.extend([message], lease_s)
            waiting.available_at = self._world.now + lease_s * 1000

    @precondition(lambda self: self._held)
    @rule(pick=picks)
    def release(self, pick: int) -> None:
        queue, message, waiting = self._picked(pick)

        queue.release([message])

        if waiting is not None:
            waiting.free(0)
            waiting.deliveries -= 1

    @rule(seconds=st.sampled_from((-3600, -5, 1, 10, 20, 30, 60, 3600)))
    def jump(self, seconds: int) -> None:
        self._world.wait(seconds)

    @rule(place=st.sampled_from(PLACES), limit=st.integers(1, 4))
    def let_three_leases_run_out(self, place: str, limit: int) -> None:
        for _ in range(ALONE_AFTER):
            self.lease(place, limit, points=9, lease_s=1)
            self.jump(1)

    @rule(place=st.sampled_from(PLACES))
    def die(self, place: str) -> None:
        self._world.dead.add(self._owners[place])
        self._owners[place] = f"{place}-{len(self._world.dead) + 1}"
        self._queues[place] = self._open(place)

    @invariant()
    def depth_is_a_recount(self) -> None:
        now = self._world.now
        hidden = [waiting for waiting in self._waiting if waiting.available_at > now]
        leased = sum(waiting.token is not None for waiting in hidden)
        oldest = min(self._waiting, key=lambda waiting: waiting.order, default=None)

        assert self._queues["right"].depth() == Depth(
            messages=len(self._waiting),
            points=sum(waiting.points for waiting in self._waiting),
            ready=len(self._waiting) - len(hidden),
            leased=leased,
            delayed=len(hidden) - leased,
            dead=self._dead,
            oldest_age_s=None if oldest is None else max(0, now - oldest.queued_at) / 1000,
        )


@pytest.mark.parametrize("name", BACK_ENDS)
def test_a_queue_behaves_as_a_list_would(name: str) -> None:
    class Machine(QueueMachine):
        back_end = name

    run_state_machine_as_test(
        Machine,
        settings=settings(max_examples=40, stateful_step_count=30, deadline=None),
    )
