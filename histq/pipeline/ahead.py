"""Work ahead of its turn, in threads that hold up nobody's exit.

The standard library's pool waits for its threads when the program ends, and a thread in the middle
of a request ends only when the provider answers or the time-out comes.
"""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Self, TypeVar

T = TypeVar("T")


class Ahead:
    """So many daemon threads that take work in the order of submission."""

    def __init__(self, threads: int, name: str) -> None:
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = threads
        for _ in range(threads):
            threading.Thread(target=self._run, name=name, daemon=True).start()

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """What the call gives or raises, once it is done."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(call())
            except BaseException as error:  # the top of a thread: carried to whoever asks for it
                future.set_exception(error)

        self._work.put(work)
        return future

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for _thread in range(self._threads):
            self._work.put(None)

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            work()
