"""A terminal that hands over each key at once; a signal wakes up whoever waits for one."""

import os
import select
import signal
import sys
import termios
import tty
from types import FrameType, TracebackType
from typing import Any, Final, Self

ENDED: Final = "\x04"
"""What stands for a keyboard that is gone, as Ctrl-D."""


class Keyboard:
    """Keys come without Enter and are not echoed; afterwards the terminal is as it was.

    `suspended` says that Ctrl-Z was pressed. Without a terminal on stdin there are no keys.
    """

    def __init__(self) -> None:
        self.suspended = False
        self._keys = sys.stdin.fileno() if sys.stdin and sys.stdin.isatty() else None
        self._modes: Any = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._woken, self._wakes = os.pipe()
        self._wakes_before = -1

    def __enter__(self) -> Self:
        os.set_blocking(self._woken, False)
        os.set_blocking(self._wakes, False)
        # A signal writes to the pipe the moment it comes, whatever thread it comes to.
        self._wakes_before = signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        for number in (signal.SIGWINCH, signal.SIGTSTP):
            self._handlers[number] = signal.signal(number, self._handle)
        if self._keys is not None:
            self._modes = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._keys is not None:
            termios.tcsetattr(self._keys, termios.TCSADRAIN, self._modes)
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakes_before)
        os.close(self._woken)
        os.close(self._wakes)

    def key(self, timeout_s: float) -> str:
        """The key that was pressed; empty when time is up, or a signal came."""
        watched = [self._woken] if self._keys is None else [self._woken, self._keys]
        ready, _, _ = select.select(watched, [], [], max(0.0, timeout_s))
        if self._woken in ready:
            os.read(self._woken, 1024)
        if self._keys in ready:
            return self._read(self._keys)
        return ""

    def _read(self, keys: int) -> str:
        try:
            return os.read(keys, 64).decode(errors="replace") or ENDED
        except OSError:  # the terminal is gone
            return ENDED

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self.suspended = self.suspended or number == signal.SIGTSTP
