"""A provider on loopback: real HTTP, an answer by function, a log of what was asked.

`Handler` and `Serving` serve other servers of the tests too.
"""

import sys
import threading
from collections.abc import Callable, Mapping
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """One request; header names in lower case."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Says(NamedTuple):
    """One answer. `now` is the server's clock in ms, sent as Date; None sends the real one.

    `declared` is the Content-Length to claim when it is not the true one; `drip_s` is the time
    between one byte and the next.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = {}
    now: int | None = None
    declared: int | None = None
    drip_s: float = 0


Answer = Callable[[Asked], Says]


class Handler(BaseHTTPRequestHandler):
    """Reads what is asked, and says nothing on stderr."""

    def asked(self) -> Asked:
        parts = urlsplit(self.path)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Asked(parts.path, dict(parse_qsl(parts.query)), headers)

    def log_message(self, format: str, *args: object) -> None:
        pass


class Serving:
    """Lets a server of this machine serve while the block runs."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self._serving = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        self.url = f"http://127.0.0.1:{server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._serving.shutdown()
        self._serving.server_close()
        self._thread.join()


class _Provider(Handler):
    server: "_Server"
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes: the second would wait 40 ms

    def do_GET(self) -> None:
        asked = self.asked()
        with self.server.lock:
            self.server.log.append(asked)
        says = self.server.answer(asked)
        self.send_response_only(says.status)
        seconds = None if says.now is None else says.now / 1000
        self.send_header("Date", formatdate(seconds, usegmt=True))
        self.send_header("Content-Length", str(says.declared or len(says.body)))
        for name, value in says.headers.items():
            self.send_header(name, value)
        self.end_headers()
        for piece in [says.body] if not says.drip_s else map(bytes, zip(says.body, strict=True)):
            self.wfile.write(piece)
            if self.server.closing.wait(says.drip_s):
                break
        if says.declared:
            self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Provider)
        self.answer = answer
        self.lock = threading.Lock()
        self.log: list[Asked] = []
        self.closing = threading.Event()

    def shutdown(self) -> None:
        self.closing.set()
        super().shutdown()

    def handle_error(self, request: object, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # a client that was killed
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class Loopback(Serving):
    """Serves while the block runs."""

    def __init__(self, answer: Answer) -> None:
        self._server = _Server(answer)
        super().__init__(self._server)

    @property
    def log(self) -> list[Asked]:
        with self._server.lock:
            return list(self._server.log)

    def answer_with(self, answer: Answer) -> None:
        """From now on."""
        self._server.answer = answer
