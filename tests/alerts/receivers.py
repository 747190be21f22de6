"""Real receivers on loopback: a web server that takes POSTs, and a mail server."""

import email
import ssl
import threading
from collections.abc import Callable
from email.message import EmailMessage
from email.policy import default
from http.server import ThreadingHTTPServer
from types import TracebackType
from typing import Any, Generic, NamedTuple, Self, TypeVar

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.loopback import Handler, Serving

PATIENCE_S = 20.0

T = TypeVar("T")


class Inbox(Generic[T]):
    """What came in, for tests to wait for."""

    def __init__(self) -> None:
        self._came = threading.Condition()
        self._all: list[T] = []

    def add(self, one: T) -> None:
        with self._came:
            self._all.append(one)
            self._came.notify_all()

    def wait_for(self, count: int) -> list[T]:
        """All that came, as soon as it is that many."""
        with self._came:
            came = self._came.wait_for(lambda: len(self._all) >= count, PATIENCE_S)
            assert came, f"{len(self._all)} of {count} came in"
            return list(self._all)

    @property
    def all(self) -> list[T]:
        with self._came:
            return list(self._all)


class Posted(NamedTuple):
    """One POST; header names in lower case."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes


class _Taking(Handler):
    server: "_Server"

    def do_POST(self) -> None:  # noqa: N802
        asked = self.asked()
        body = self.rfile.read(int(asked.headers.get("content-length", "0")))
        posted = Posted(*asked, body)
        status = self.server.answer(posted)
        self.server.inbox.add(posted)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, inbox: Inbox[Posted], answer: Callable[[Posted], int]) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.inbox = inbox
        self.answer = answer

    def handle_error(self, request: object, client_address: object) -> None:
        pass  # a client that was killed, or gave up


class WebReceiver(Serving):
    """Serves while the block runs. `answer` gives the status."""

    def __init__(self, answer: Callable[[Posted], int] = lambda _: 204) -> None:
        self.inbox: Inbox[Posted] = Inbox()
        self._server = _Server(self.inbox, answer)
        super().__init__(self._server)

    def answer_with(self, answer: Callable[[Posted], int]) -> None:
        """From now on."""
        self._server.answer = answer


class Mailed(NamedTuple):
    """One mail as the server got it; `user` is who logged in."""

    to: list[str]
    message: EmailMessage
    user: str


class _Taker:
    def __init__(self, inbox: Inbox[Mailed], takes: Callable[[object], bool]) -> None:
        self._inbox = inbox
        self._takes = takes
        self.refused = 0

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        assert isinstance(content, bytes)
        message = email.message_from_bytes(content, policy=default)
        assert isinstance(message, EmailMessage)
        user = session.auth_data.decode() if isinstance(session.auth_data, bytes) else ""
        if not self._takes(message):
            self.refused += 1
            return "451 come back later"
        self._inbox.add(Mailed(list(envelope.rcpt_tos), message, user))
        return "250 taken"


class _Controller(Controller):
    def _trigger_server(self) -> None:
        # It was asked for any free port, and now has one.
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


class MailReceiver:
    """A mail server while the block runs; with `log_in`, (user, password), nobody else may send.

    `takes` says whether it takes a mail; else it is to come back later.
    """

    def __init__(
        self,
        *,
        starttls: ssl.SSLContext | None = None,
        implicit_tls: ssl.SSLContext | None = None,
        log_in: tuple[str, str] | None = None,
        takes: Callable[[object], bool] = lambda _: True,
    ) -> None:
        self.inbox: Inbox[Mailed] = Inbox()
        options: dict[str, Any] = {"tls_context": starttls}
        if log_in is not None:
            options |= {
                "authenticator": _authenticator(*log_in),
                "auth_required": True,
                "auth_require_tls": starttls is not None,
            }
        self._taker = _Taker(self.inbox, takes)
        self._controller = _Controller(
            self._taker,
            hostname="127.0.0.1",
            port=0,
            ssl_context=implicit_tls,
            **options,
        )

    @property
    def refused(self) -> int:
        """How many mails it has not taken."""
        return self._taker.refused

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._controller.port}"

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._controller.stop()


def _authenticator(user: str, password: str) -> Callable[..., AuthResult]:
    def check(
        server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: LoginPassword
    ) -> AuthResult:
        good = (given.login, given.password) == (user.encode(), password.encode())
        return AuthResult(success=good, handled=False, auth_data=given.login)

    return check
