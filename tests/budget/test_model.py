"""Processes that take, dawdle, give back and die, against a list of when each request went out."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from histq.budget import Budget
from histq.budget.credits import Credits
from tests.budget import HOST, NOON, Hands, takes

MINUTE_MS = 60_000
PLACES = range(3)

places = st.sampled_from(PLACES)
counts = st.sampled_from([1, 2, 7, 40, 150])
# Around the seams: within a second, into the next one, and about a minute later.
steps_ms = st.one_of(
    st.integers(1, 1500), st.sampled_from([999, 1000, 1001, 59_000, 59_999, 60_000, 61_000])
)


class BudgetMachine(RuleBasedStateMachine):
    """Three places where a process runs; when it dies, a new one starts there."""

    per_minute = 1
    credits = Credits()

    def __init__(self) -> None:
        super().__init__()
        self._stack = ExitStack()
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        self._clock = Hands()
        self._budgets = {place: self._start() for place in PLACES}
        self._sent: list[int] = []

    def _start(self) -> Budget:
        return Budget(self._folder, HOST, self.per_minute, credits=self.credits, clock=self._clock)

    def teardown(self) -> None:
        # However it went: after a quiet minute the whole allowance is there for anyone.
        self._clock.now += 61_000
        if not self.credits.per_month:
            assert takes(self._start(), self.per_minute + 1) == self.per_minute
        self._stack.close()

    @rule(place=places, most=counts)
    def ask(self, place: int, most: int) -> None:
        self._sent += [self._clock.now] * takes(self._budgets[place], most)

    @rule(step_ms=steps_ms)
    def wait(self, step_ms: int) -> None:
        self._clock.now += step_ms

    @rule(place=places)
    def give_back(self, place: int) -> None:
        self._budgets[place].give_back()

    @rule(place=places)
    def die(self, place: int) -> None:
        self._budgets[place] = self._start()

    @rule(place=places)
    def wait_as_told(self, place: int) -> None:
        wait_s = self._budgets[place].take()
        if wait_s == 0:
            self._sent.append(self._clock.now)
        elif wait_s <= 61:
            self._clock.now += round(wait_s * 1000)

    @invariant()
    def no_60_seconds_hold_more(self) -> None:
        for first, over in zip(self._sent, self._sent[self.per_minute :], strict=False):
            assert over - first >= MINUTE_MS

    @invariant()
    def no_more_is_spent_than_there_is(self) -> None:
        assert not self.credits.per_month or len(self._sent) <= self.credits.per_month


@pytest.mark.parametrize("per_minute", [1, 5, 120, 600])
def test_no_60_seconds_ever_hold_more_than_a_minute_allows(per_minute: int) -> None:
    machine = type("Machine", (BudgetMachine,), {"per_minute": per_minute})

    run_state_machine_as_test(
        machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )


@pytest.mark.parametrize("per_month", [1, 50, 400])
def test_no_more_credits_are_spent_than_there_are(per_month: int) -> None:
    changes = {"per_minute": 600, "credits": Credits(per_month=per_month)}
    machine = type("Machine", (BudgetMachine,), changes)

    run_state_machine_as_test(
        machine, settings=settings(max_examples=60, stateful_step_count=40, deadline=None)
    )


@given(st.lists(st.integers(-100_000_000, 100_000_000), max_size=10))
@settings(deadline=None)
def test_no_clock_that_is_set_ever_blocks_for_longer_than_a_minute(jumps: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        clock = Hands(NOON)
        budgets = [Budget(Path(folder), HOST, 120, clock=clock) for _ in PLACES]
        for jump in jumps:
            takes(budgets[jump % 3], 130)
            clock.now += jump

        waits = [budget.take() for budget in budgets]

    assert max(waits) <= 62
