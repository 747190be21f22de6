"""The request budget of one provider host, shared by every histq process of this machine.

A small file a host counts what went out. A process takes a slice of several requests from it, under
a lock held for microseconds, and hands them out from memory; one unlocked read before each tells
whether the host wants silence by now.

A slice is good for the second of the clock it was granted in, so that what is sent in a second is
what was granted in it. What is then left of it is given back; that of a process which died counts
as sent.
"""

import contextlib
import re
import threading
from pathlib import Path
from typing import Final, NamedTuple

from histq.budget.credits import NO_CREDITS, Balance, Credits, balances
from histq.budget.file import StateFile
from histq.budget.state import WINDOW_S, State
from histq.errors import Config
from histq.host import Clock, wall_clock

MOST_A_SLICE: Final = 100


class _Slice(NamedTuple):
    """Requests that may still go out in the second `second`, while the file begins with `head`."""

    second: int = 0
    left: int = 0
    head: bytes = b""


class Standing(NamedTuple):
    """What the file says now: requests that count as sent, and how long the host wants none."""

    sent: int
    silent_s: float


class Budget:
    """At most `per_minute` requests in any 60 seconds, by all processes together.

    And no more than `credits` by the day and the month. Safe to share by threads. What needs the
    file raises Config where it cannot be kept.
    """

    def __init__(
        self,
        folder: Path,
        host: str,
        per_minute: int,
        *,
        credits: Credits = NO_CREDITS,
        clock: Clock = wall_clock,
    ) -> None:
        self._file = StateFile(folder, f"{re.sub(r'[^A-Za-z0-9.-]', '_', host)}.json")
        self._per_minute = per_minute
        self._most = min(max(1, per_minute // WINDOW_S), MOST_A_SLICE)
        self._credits = credits
        self._clock = clock
        self._turn = threading.Lock()
        self._slice = _Slice()

    def take(self) -> float:
        """0 when a request may go out now, and is counted; else the seconds to wait first."""
        with self._turn:
            if self._slice.left and self._holds():
                self._slice = self._slice._replace(left=self._slice.left - 1)
                return 0
            with self._file.locked() as state:
                now = self._clock()
                self._return_slice(state)
                state.forget(now)
                found = self._balances(state, now)
                wait_s = self._wait_s(state, found, now)
                granted = _Slice() if wait_s > 0 else self._granted(state, found, now)
            self._slice = granted
            return wait_s

    def give_back(self) -> None:
        """What is in hand and was not sent. For when no more is to be sent soon."""
        with self._turn, contextlib.suppress(Config):  # it then counts as sent
            if self._slice.left:
                with self._file.locked() as state:
                    self._return_slice(state)

    def silence(self, seconds: float) -> None:
        """Nobody asks this host for so long: it said so."""
        with self._file.locked() as state:
            state.silent = state.silent.longer(self._clock(), seconds)

    def silence_s(self) -> float:
        """For how long the host wants to hear nothing; 0 when we may speak."""
        with self._file.locked() as state:
            return state.silent.left_s(self._clock())

    def hold(self, seconds: float) -> None:
        """Nobody's turn comes for so long: what the host allows this address is nearly used up."""
        with self._file.locked() as state:
            state.held = state.held.longer(self._clock(), seconds)

    def standing(self) -> Standing:
        """How it stands. A look at what is there: makes no file and raises nothing."""
        state, now = self._file.peek(), self._clock()
        state.forget(now)
        return Standing(state.total, state.silent.left_s(now))

    def balances(self) -> list[Balance]:
        """What is spent of the day's and the month's credits, as far as they are limited.

        A look at what is there: makes no file and raises nothing.
        """
        return self._balances(self._file.peek(), self._clock())

    def _holds(self) -> bool:
        """Whether the slice in hand is good: of this second, and nobody was silenced since."""
        second, _, head = self._slice
        return self._clock() // 1000 == second and self._file.begins_with(head)

    def _return_slice(self, state: State) -> None:
        second, left, _ = self._slice
        self._slice = _Slice()
        if left:
            state.uncount(self._credits.account, left, second)

    def _balances(self, state: State, now: int) -> list[Balance]:
        return balances(self._credits, state.accounts.get(self._credits.account, {}), now)

    def _wait_s(self, state: State, found: list[Balance], now: int) -> float:
        paused_s = max(state.silent.left_s(now), state.held.left_s(now))
        if paused_s > 0:
            return paused_s
        if state.total >= self._per_minute:
            return (min(state.sent) + WINDOW_S + 1) - now / 1000
        return max((one.ends_at - now for one in found if not one.left), default=0) / 1000

    def _granted(self, state: State, found: list[Balance], now: int) -> _Slice:
        """The next slice, its first request already handed out.

        Never more than half of what is left, so that two processes share the last ones too.
        """
        room = self._per_minute - state.total
        count = min(self._most, max(1, room // 2), *(one.left for one in found))
        state.count(self._credits.account, count, now)
        return _Slice(now // 1000, count - 1, state.head())
