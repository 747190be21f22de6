"""The batches that the workers of a process hold: leased for as long as work on them goes on."""

import contextlib
import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from histq.errors import HistqError, LeaseLost
from histq.model import Message
from histq.pipeline.backends import Opener

logger = logging.getLogger(__name__)

BEATS: Final = 3
"""Looks at what is in hand, a lease. What is seen at two of them is extended at the second."""

HAND_BACK_S: Final = 1.0
"""The longest wait for the write lock on the way out; the leases of the dead are free anyway."""


class InHand:
    """A batch is mostly done before the first look, and then costs nothing but being noted."""

    def __init__(self, opener: Opener) -> None:
        self._opener = opener
        self._lease_s = opener.settings.queue.lease_s
        self._lock = threading.Lock()
        self._held: dict[str, Sequence[Message]] = {}
        self._seen: set[str] = set()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="histq-leases", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def holding(self, messages: Sequence[Message]) -> Iterator[None]:
        """For work on one lease. What an error of ours interrupts stays in hand until `close`.

        An error that nobody foresaw may be the messages' own fault: they are not handed back, so
        that the delivery counts and those that do it again are buried in the end.
        """
        token = messages[0].token
        with self._lock:
            self._held[token] = messages
        interrupted = False
        try:
            yield
        except HistqError:
            interrupted = True
            raise
        finally:
            if not interrupted:
                with self._lock:
                    del self._held[token]

    def close(self) -> None:
        """Hands back what is still in hand, as if never leased: its work was cut short."""
        self._closed.set()
        with self._lock:
            held = list(self._held.values())
        if not held:
            return
        opener = self._opener._replace(lock_timeout_s=HAND_BACK_S)
        with self._told("handing back"), opener.open(create=False) as backends:
            for messages in held:
                backends.queue.release(messages)

    def _watch(self) -> None:
        while not self._closed.wait(self._lease_s / BEATS):
            with self._lock:
                slow = [held for token, held in self._held.items() if token in self._seen]
                self._seen = set(self._held)
            if slow:
                self._extend(slow)

    def _extend(self, slow: Sequence[Sequence[Message]]) -> None:
        with self._told("extending"), self._opener.open(create=False) as backends:
            for messages in slow:
                with backends.queue.transaction():
                    for message in messages:
                        with contextlib.suppress(LeaseLost):  # part of a batch may be done already
                            backends.queue.extend([message], self._lease_s)

    @contextlib.contextmanager
    def _told(self, doing: str) -> Iterator[None]:
        """An error here must not end the work: at worst the leases run out, and nothing is lost."""
        try:
            yield
        except HistqError as error:
            logger.info("%s leases: %s", doing, error)
