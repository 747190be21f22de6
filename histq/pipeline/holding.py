"""One process at a time fetches, or imports, a series."""

import time
from collections.abc import Callable
from typing import Final

from histq.errors import Locked
from histq.locks import NamedLocks, SharedLocks
from histq.model import Series
from histq.stop import Stop

TIMEOUT_S: Final = 600.0
POLL_S: Final = 0.1


def wait_for(
    series: Series, locks: NamedLocks | SharedLocks, stop: Stop, tell: Callable[[str], None]
) -> None:
    """Holds the series once no other process does. Raises Locked after too long, and Stopped."""
    if locks.try_acquire(str(series)):
        return
    tell(f"another histq fetches {series}")
    deadline = time.monotonic() + TIMEOUT_S
    while not locks.try_acquire(str(series)):
        stop.sleep(POLL_S)
        if time.monotonic() > deadline:
            raise Locked(f"{series}: another histq has been fetching it for too long")
