"""Locks of the operating system. They die with the process that holds them."""

import fcntl
import os
import threading
import zlib
from pathlib import Path
from typing import Self


class FairLock:
    """An exclusive lock on a side file, whose waiters the kernel queues (flock).

    SQLite's own busy handler polls, and who polls at the right moment wins: with five writers the
    longest wait was seconds. One descriptor an instance and one instance a thread: threads that
    share a descriptor share the lock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, timeout_s: float) -> bool:
        """Whether the lock was got in time. Raises OSError where the file cannot be made."""
        descriptor = self._open()
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return timeout_s > 0 and self._wait(descriptor, timeout_s)
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

    def _wait(self, descriptor: int, timeout_s: float) -> bool:
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
        got.wait(timeout_s)
        with settled:
            if got.is_set():
                return True
            given_up = True
        self._descriptor = None
        return False


class NamedLocks:
    """Exclusive locks by name, shared by the processes that open the same file (POSIX ranges).

    Each name is one byte of the file, by its checksum; two names that collide only wait for each
    other. POSIX ranges belong to the process: open one instance a process and file.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("a+b")

    def try_acquire(self, name: str) -> bool:
        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _slot(name))
        except (BlockingIOError, PermissionError):
            return False
        return True

    def release(self, name: str) -> None:
        fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _slot(name))

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


def _slot(name: str) -> int:
    return zlib.crc32(name.encode())
