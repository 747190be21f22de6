"""The audit trail: one row a command, opened when it first changes something."""

import threading

from histq.stores import Store


class RunLog:
    """Shared by the threads of a command; each brings its own store."""

    def __init__(self, command: str, owner: str) -> None:
        self._command = command
        self._owner = owner
        self._lock = threading.Lock()
        self._id: int | None = None

    @property
    def begun(self) -> bool:
        """Whether the command has changed anything yet."""
        return self._id is not None

    def begin(self, store: Store) -> int:
        """The row's id. A command that changes nothing, such as a mistyped one, leaves no row."""
        with self._lock:
            if self._id is None:
                self._id = store.start_run(self._command, self._owner)
            return self._id

    def end(self, store: Store, exit_code: int, summary: str) -> None:
        """Closes the row; `summary` is JSON text."""
        store.end_run(self.begin(store), exit_code, summary)
