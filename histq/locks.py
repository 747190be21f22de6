"""Locks of the operating system. They die with the process that holds them."""

import fcntl
import os
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Final, Self

HURRIED_S: Final = 2.0
"""How long a lock is still waited for once its waiter is to come to an end."""

HURRY_POLL_S: Final = 0.1


def never() -> bool:
    return False


class FairLock:
    """An exclusive lock on a side file, whose waiters the kernel queues (flock).

    SQLite's own busy handler polls, and who polls at the right moment wins: with five writers the
    longest wait was seconds. One descriptor an instance and one instance a thread: threads that
    share a descriptor share the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, timeout_s: float, hurry: Callable[[], bool] = never) -> bool:
        """Whether the lock was got in time, which ends soon once `hurry` says so.

        Raises OSError where the file cannot be made.
        """
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return timeout_s > 0 and self._wait(descriptor, timeout_s, hurry)
        return True

    def release(self) -> None:
        if self._descriptor is not None:
            fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        if self._descriptor is None:
            self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        return self._descriptor

    def _wait(self, descriptor: int, timeout_s: float, hurry: Callable[[], bool]) -> bool:
        # flock has no time limit, so a thread of its own waits. When we give up, that thread keeps
        # the descriptor and closes it, and with it the lock, as soon as it gets it.
        settled = threading.Lock()
        got = threading.Event()
        given_up = False

        def block() -> None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            with settled:
                got.set()
                if given_up:
                    os.close(descriptor)

        threading.Thread(target=block, name="histq-lock", daemon=True).start()
        _await(got, timeout_s, hurry)
        with settled:
            if got.is_set():
                return True
            given_up = True
        self._descriptor = None
        return False


def _await(got: threading.Event, timeout_s: float, hurry: Callable[[], bool]) -> None:
    """Waits for the event as long as `FairLock.acquire` promises."""
    deadline = time.monotonic() + timeout_s
    hurried = False
    while (left_s := deadline - time.monotonic()) > 0 and not got.wait(min(left_s, HURRY_POLL_S)):
        if hurry() and not hurried:
            hurried = True
            deadline = min(deadline, time.monotonic() + HURRIED_S)


class NamedLocks:
    """Exclusive locks by name, shared by the processes that open the same file (POSIX ranges).

    Each name is one byte of the file, by its checksum; two names that collide only wait for each
    other. POSIX ranges belong to the process: open one instance a process and file, and give each
    of its jobs a share, which keeps them out of each other's way.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")
        self._turn = threading.Lock()
        self._held: dict[int, tuple[object, int]] = {}  # slot: by whom, and how often

    def try_acquire(self, name: str, holder: object = None) -> bool:
        slot = _slot(name)
        with self._turn:
            owner, times = self._held.get(slot, (holder, 0))
            if owner is not holder or not (times or self._lock(slot)):
                return False
            self._held[slot] = holder, times + 1
            return True

    def release(self, name: str, holder: object = None) -> None:
        """Gives back what this holder has; nothing where it has it not."""
        slot = _slot(name)
        with self._turn:
            owner, times = self._held.get(slot, (holder, 0))
            if owner is not holder or not times:
                return
            if times > 1:
                self._held[slot] = holder, times - 1
            else:
                del self._held[slot]
                fcntl.lockf(self._file, fcntl.LOCK_UN, 1, slot)

    def _lock(self, slot: int) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, slot)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def share(self) -> "SharedLocks":
        """The locks for one of several jobs of this process."""
        return SharedLocks(self)

    def alone(self) -> bool:
        """Whether no other process holds a lock of this file; none can take one until we close."""
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SharedLocks:
    """One job's hold on the locks of its process."""

    def __init__(self, locks: NamedLocks) -> None:
        self._locks = locks
        self._names: list[str] = []

    def try_acquire(self, name: str) -> bool:
        got = self._locks.try_acquire(name, self)
        if got:
            self._names.append(name)
        return got

    def release_all(self) -> None:
        while self._names:
            self._locks.release(self._names.pop(), self)


def _slot(name: str) -> int:
    return zlib.crc32(name.encode())
