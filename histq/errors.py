"""The error tree. Each class carries the exit code of a command that it alone brought down.

Errors are sorted where they are seen (client, provider, store, database) and acted on in one
place: `Transient` is tried again, `Permanent` is not, `Poison` becomes a dead letter, `Config`
and `Usage` are for the person at the keyboard to put right.
"""

import signal


class HistqError(Exception):
    """Anything histq raises on purpose. The message is one line that says what to do."""

    exit_code: int = 1


class Usage(HistqError):
    """The command line asks for something that does not exist."""

    exit_code = 2


class UnknownMarket(Usage):
    """A symbol or an interval that the provider does not know. Ends the series."""


class Config(HistqError):
    """Settings, credentials or the place of the database."""

    exit_code = 5


class Credentials(Config):
    """The provider wants a key, or another key. Ends the source for the run."""


class Transient(HistqError):
    """May go away by itself. `retry_after_s` is what the other side asked for, if it did."""

    exit_code = 3

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Throttled(Transient):
    """The provider wants fewer requests, or has banned us for a while. Ends the source."""

    exit_code = 6


class Misshapen(Transient):
    """An answer that holds no candles: cut off, not JSON, or of another shape.

    Carries the body, and when it was given by the provider's clock, ms, where that is known.
    """

    def __init__(self, message: str, body: bytes = b"") -> None:
        super().__init__(message)
        self.body = body
        self.answered_at: int | None = None


class Permanent(HistqError):
    """Will not go away by asking again. Ends the window."""

    exit_code = 3


class NotPublished(Permanent):
    """The archive has no such file, or not yet."""


class Refused(Permanent):
    """The provider does not serve us from here. Ends the source for the run."""

    exit_code = 6


class Poison(HistqError):
    """A message or a candle that can never be stored."""

    exit_code = 3


class LeaseLost(HistqError):
    """The lease ran out and somebody else may hold the message: our work on it must not count."""

    exit_code = 3


class QueueFull(HistqError):
    """The queue holds `max_depth` points; consuming makes room."""

    exit_code = 3


class Stopped(HistqError):
    """A signal asked us to stop: `exit_code` is 128 + its number, as shells count.

    Whoever has a `Stop` raises its `stopped`, which knows the signal.
    """

    def __init__(self, message: str, signal_number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class DatabaseMissing(HistqError):
    """There is no database at that path, and this command does not create one."""

    exit_code = 10


class Locked(HistqError):
    """Another process held the database, or the series, for too long."""

    exit_code = 11


class SchemaTooNew(HistqError):
    """A newer histq has written this database."""

    exit_code = 12


class DiskFull(HistqError):
    """No room for the database to grow. Nothing that was committed is lost."""

    exit_code = 1


class StorageFailed(HistqError):
    """The disk or the database file failed under us."""

    exit_code = 1
