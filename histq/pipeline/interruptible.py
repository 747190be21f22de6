"""Work that hears no stop while it is in C, such as a check of a whole file."""

from collections.abc import Callable
from typing import Final, TypeVar

from histq.pipeline.ahead import Ahead
from histq.stop import Stop

POLL_S: Final = 0.05
GRACE_S: Final = 1.0
"""How long work that does look at the stop is given to end by itself."""

T = TypeVar("T")


def interruptible(work: Callable[[], T], stop: Stop) -> T:
    """What the work gives or raises. It runs in a thread of its own, which a stop leaves behind:
    the thread ends with the process. Raises Stopped then.
    """
    with Ahead(1, "histq-work") as ahead:
        result = ahead.submit(work)
        while not stop:
            try:
                return result.result(timeout=POLL_S)
            except TimeoutError:
                if result.done():  # it is the work's own
                    raise
        try:
            return result.result(timeout=GRACE_S)
        except TimeoutError:
            raise stop.stopped("stopped in the middle of the work") from None
