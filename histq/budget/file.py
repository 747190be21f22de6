"""The file that the processes of a machine share: found or made, locked, read and written whole."""

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from histq.budget.state import State, read
from histq.errors import Config

MOST_BYTES: Final = 1 << 16

# Neither a link that leads elsewhere nor a pipe that keeps us waiting.
_FLAGS: Final = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class StateFile:
    """One file in the folder, or among the temporary files where that cannot be written to."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._path = folder / name

    @contextlib.contextmanager
    def locked(self) -> Iterator[State]:
        """The state, nobody else's until the block ends; then it is written if it changed.

        Raises Config where there can be no such file.
        """
        try:
            self._path = _writable(self._folder) / self._name
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | _FLAGS, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                before = os.pread(descriptor, MOST_BYTES, 0)
                state = read(before)
                if state is None:
                    os.ftruncate(descriptor, 0)
                    state, before = State.fresh(), b""
                yield state
                after = state.text()
                if after != before.rstrip():
                    # In one write, whose blanks cover what was longer: a process killed between
                    # two would leave half a file.
                    os.pwrite(descriptor, after.ljust(len(before)), 0)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise Config(
                f"cannot keep the request budget in {self._path}: {error.strerror}; remove it, or"
                " set HISTQ_STATE_DIR to a folder of your own"
            ) from error

    def begins_with(self, head: bytes) -> bool:
        """Whether the file does, as it is at this moment. Takes no lock."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | _FLAGS)
        except OSError:
            return False
        try:
            return os.pread(descriptor, len(head), 0) == head
        except OSError:
            return False
        finally:
            os.close(descriptor)

    def peek(self) -> State:
        """The state as it is; a fresh one where there is no file. Makes none."""
        for folder in (self._folder, _fallback()):
            with contextlib.suppress(OSError):
                descriptor = os.open(folder / self._name, os.O_RDONLY | _FLAGS)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_SH)
                    return read(os.pread(descriptor, MOST_BYTES, 0)) or State.fresh()
                finally:
                    os.close(descriptor)
        return State.fresh()


def _writable(folder: Path) -> Path:
    """The folder, made; one among the temporary files where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        usable = os.access(folder, os.W_OK)
    except OSError:
        usable = False
    if not usable:
        folder = _fallback()
        folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _fallback() -> Path:
    return Path(tempfile.gettempdir()) / f"histq-{os.getuid()}"
