"""How a signal reaches every loop and every wait."""

import signal
import threading
import weakref
from types import FrameType
from typing import Self

from histq.errors import Stopped


class Stop:
    """Set once, by a signal or by whoever ends the work; waits on it end at once."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._children: weakref.WeakSet[Stop] = weakref.WeakSet()
        self._parent: Stop | None = None
        self._signal_number: int | None = None

    def set(self) -> None:
        self._event.set()
        for child in list(self._children):
            child.set()

    def child(self) -> "Stop":
        """For a part of the work: set with this one, or alone."""
        child = Stop()
        child._parent = self
        self._children.add(child)
        if self:
            child.set()
        return child

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Whether the stop came within that time."""
        return self._event.wait(seconds)

    def sleep(self, seconds: float) -> None:
        """Sleeps for so long. Raises Stopped as soon as the stop comes."""
        if self.wait(seconds):
            raise self.stopped("stopped while waiting")

    def stopped(self, message: str) -> Stopped:
        """What to raise where this has ended some work; it carries `exit_code`."""
        return Stopped(message, self.signal_number or signal.SIGINT)

    @property
    def signal_number(self) -> int | None:
        """The signal that has set it; None where it was none."""
        if self._signal_number is None and self._parent is not None:
            return self._parent.signal_number
        return self._signal_number

    @property
    def exit_code(self) -> int:
        """128 + the signal, as shells count: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal_number or signal.SIGINT)

    def on_signals(self) -> Self:
        """The first SIGINT or SIGTERM sets it; the second ends the process at once."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        return self

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        # The default action from now on: whoever asks twice does not wait, and a killed process
        # loses nothing.
        signal.signal(number, signal.SIG_DFL)
        self._signal_number = number
        self.set()
