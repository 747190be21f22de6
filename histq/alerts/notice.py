"""What a receiver is told, and how it reads as text. The seam to the channels."""

import json
import platform
from typing import Final, NamedTuple, Protocol

import msgspec

from histq.errors import HistqError
from histq.host import wall_clock
from histq.model import iso
from histq.stores.alerts import Alert, Severity, Turn, Untold

SCHEMA: Final = 1
TEST: Final = "test"


class Origin(NamedTuple):
    """Where notices come from, so that one inbox can hold those of several machines."""

    environment: str
    host: str

    @classmethod
    def here(cls, environment: str) -> "Origin":
        return cls(environment, platform.node())


class Notice(msgspec.Struct, frozen=True):
    """`state` is start, end or test. The same `id` may come twice, and then says the same.

    `since` and `ended_at` in ms; `ended_at` is None until it is over.
    """

    id: str
    environment: str
    host: str
    name: str
    subject: str
    state: str
    severity: Severity
    since: int
    ended_at: int | None
    text: str

    @property
    def title(self) -> str:
        """One line, as the subject of a mail."""
        place = f"{self.host}, {self.environment}" if self.environment else self.host
        state = {"start": str(self.severity), "end": "over"}.get(self.state, self.state)
        return f"[histq] {state}: {self.name} {self.subject} ({place})"

    @property
    def body(self) -> str:
        """A few lines, as a mail holds them."""
        # To the second: nobody reads milliseconds.
        lines = [self.text, "", f"since {iso(self.since // 1000 * 1000)}"]
        if self.ended_at is not None:
            lines.append(f"until {iso(self.ended_at // 1000 * 1000)}")
        return "\n".join([*lines, f"name {self.name}", f"subject {self.subject}"]) + "\n"

    def json(self) -> bytes:
        """One JSON object of these fields, with the version of the schema."""
        return json.dumps({"schema": SCHEMA, **msgspec.to_builtins(self)}).encode()


def notice(untold: Untold, origin: Origin) -> Notice:
    """What to tell of it. The id names this alert and turn among all of this database's."""
    alert = untold.alert
    return Notice(
        id=f"{alert.id}-{alert.since}-{untold.turn}",
        environment=origin.environment,
        host=origin.host,
        name=alert.name,
        subject=alert.subject,
        state=str(untold.turn),
        severity=alert.severity,
        since=alert.since,
        ended_at=alert.ended_at if untold.turn == "end" else None,
        text=untold.text,
    )


def unrecorded(alert: Alert, origin: Origin) -> Notice:
    """That it began, where it could not be written down."""
    return Notice(
        id=f"{alert.name}-{alert.since}-{Turn.START}",
        environment=origin.environment,
        host=origin.host,
        name=alert.name,
        subject=alert.subject,
        state=str(Turn.START),
        severity=alert.severity,
        since=alert.since,
        ended_at=None,
        text=alert.text,
    )


def trial(origin: Origin) -> Notice:
    """What `histq alerts test` sends."""
    now = wall_clock()
    text = "this is a test of histq alerts; nothing is wrong"
    return Notice(f"test-{now}", *origin, TEST, TEST, TEST, Severity.WARNING, now, None, text)


class Undelivered(HistqError):
    """A receiver did not take a notice. The message says why, and holds no secret."""

    exit_code = 3


def reason(error: BaseException) -> str:
    """The kind of error and what the system says of it, such as that a connection was refused.

    Not the error's own text: it may hold the URL, and the URL may hold a key.
    """
    kind, cause = type(error).__name__, error
    while not (isinstance(cause, OSError) and cause.strerror):
        following = cause.__cause__ or cause.__context__
        if following is None:
            return kind
        cause = following
    return f"{kind}, {cause.strerror}"


class Channel(Protocol):
    """One receiver. `send` is called from one thread at a time."""

    @property
    def name(self) -> str:
        """Names it in the database, so it stays the same for the same receiver."""

    @property
    def place(self) -> str:
        """Where it leads, as people may read it: a host, an address; no secret."""

    def send(self, notice: Notice) -> None:
        """Returns once the receiver took it. Raises Undelivered; nothing else waits for so long."""
