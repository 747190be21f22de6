"""What only the daemon knows: who crashed, what took too long, which source refuses us."""

import threading

Kind = dict[str, str]


class Facts:
    """By kind and subject, what is wrong; an empty text says that all is well with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._crashed: Kind = {}
        self._overdue: Kind = {}
        self._refused: Kind = {}

    def crashed(self, worker: str, why: str) -> None:
        self._note(self._crashed, worker, why)

    def overdue(self, job: str, why: str) -> None:
        self._note(self._overdue, job, why)

    def refused(self, source: str, why: str) -> None:
        self._note(self._refused, source, why)

    def now(self) -> tuple[Kind, Kind, Kind]:
        """(crashed, overdue, refused) as it is at this moment."""
        with self._lock:
            return dict(self._crashed), dict(self._overdue), dict(self._refused)

    def _note(self, kind: Kind, subject: str, why: str) -> None:
        with self._lock:
            kind[subject] = why
