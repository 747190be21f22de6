"""The request budget of one provider host, shared by every histq process of this machine.

A small JSON file with how many requests went out in each of the last 60 seconds, and until when the
host has told us to be silent. It is held for microseconds at a time, under a lock of its own.
"""

import contextlib
import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from histq.host import Clock, wall_clock

WINDOW_S: Final = 60
LONGEST_SILENCE_S: Final = 3 * 86_400
"""Binance's longest ban; whoever asks for more is asked again after that."""


class _State:
    """What the file holds."""

    def __init__(self, text: str) -> None:
        try:
            stored = json.loads(text)
            self.sent = {int(second): int(count) for second, count in stored["sent"].items()}
            self.silent = (int(stored["silent"][0]), int(stored["silent"][1]))
        except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError):
            # Absent, or cut off by a crash: begin anew, the provider's own limit still holds.
            self.sent, self.silent = {}, (0, 0)

    def text(self) -> str:
        return json.dumps({"sent": self.sent, "silent": self.silent})


class Budget:
    """At most `per_minute` requests in any 60 seconds, by all processes together."""

    def __init__(
        self, folder: Path, host: str, per_minute: int, *, clock: Clock = wall_clock
    ) -> None:
        self._path = _writable(folder) / f"{re.sub(r'[^A-Za-z0-9.-]', '_', host)}.json"
        self._per_minute = per_minute
        self._clock = clock

    def take(self) -> float:
        """0 when a request may go out now, and is counted; else the seconds to wait first."""
        with self._state() as state:
            now = self._clock()
            if (silence := _silence_s(state, now)) > 0:
                return silence
            second = now // 1000
            # One bucket more than the window has seconds: a request at the end of a second is
            # younger than its bucket. One from the future is of a clock that was set back since.
            state.sent = {
                s: n for s, n in state.sent.items() if second - WINDOW_S <= s <= second + 1
            }
            if sum(state.sent.values()) < self._per_minute:
                state.sent[second] = state.sent.get(second, 0) + 1
                return 0
            return (min(state.sent) + WINDOW_S + 1) - now / 1000

    def silence(self, seconds: float) -> None:
        """Nobody asks this host for so long: it said so."""
        with self._state() as state:
            now = self._clock()
            until = now + round(min(seconds, LONGEST_SILENCE_S) * 1000)
            state.silent = (now, max(until, state.silent[1]) if _fresh(state, now) else until)

    def silence_s(self) -> float:
        """For how long the host wants to hear nothing; 0 when we may speak."""
        with self._state() as state:
            return _silence_s(state, self._clock())

    @contextlib.contextmanager
    def _state(self) -> Iterator[_State]:
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            state = _State(os.pread(descriptor, 1 << 16, 0).decode(errors="replace"))
            before = state.text()
            yield state
            if (after := state.text()) != before:
                os.pwrite(descriptor, after.encode(), 0)
                os.ftruncate(descriptor, len(after))
        finally:
            os.close(descriptor)


def _fresh(state: _State, now: int) -> bool:
    """Whether the silence was asked for before now; otherwise the clock was set back since."""
    return state.silent[0] <= now


def _silence_s(state: _State, now: int) -> float:
    return max(0, state.silent[1] - now) / 1000 if _fresh(state, now) else 0


def _writable(folder: Path) -> Path:
    """The folder, made; one among the temporary files where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if not usable:
        folder = Path(tempfile.gettempdir()) / f"histq-{os.getuid()}"
        folder.mkdir(exist_ok=True)
    return folder
