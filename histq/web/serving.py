"""uvicorn in a thread: without signal handlers, and without patience for clients that stall."""

import asyncio
import logging
import socket
import threading
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from histq.errors import StorageFailed
from histq.web.guard import MOST_HEAD

MOST_CONNECTIONS: Final = 200
KEEP_ALIVE_S: Final = 5
GRACE_S: Final = 1
START_S: Final = 10.0


class Impatient(H11Protocol):
    """uvicorn gives a client all the time it wants to send a head, or to take an answer."""

    def __init__(self, *args: Any, patience_s: float, **more: Any) -> None:
        super().__init__(*args, **more)
        self._patience_s = patience_s
        self._watch: asyncio.TimerHandle
        self._seen: tuple[object, int] = (None, 0)
        self._drained = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]
        self._seen = self._now()
        self._watch = self.loop.call_later(self._patience_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        self._drained = True
        super().resume_writing()

    def _now(self) -> tuple[object, int]:
        """The request at hand, and how much of its answer the client has not taken yet."""
        return self.cycle, self.transport.get_write_buffer_size()

    def _look(self) -> None:
        cycle, untaken = self._now()
        answering = cycle is not None and not self.cycle.response_complete and not untaken
        last_cycle, last_untaken = self._seen
        moved = self._drained or cycle is not last_cycle or untaken < last_untaken
        if not (answering or moved):
            self.transport.abort()
            return
        self._seen, self._drained = (cycle, untaken), False
        self._watch = self.loop.call_later(self._patience_s, self._look)


class _Uvicorn(uvicorn.Server):
    """Says when it is up, and leaves no connection open."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.up = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await super().shutdown(sockets)
        for connection in list(self.server_state.connections):
            if connection.transport is not None:
                connection.transport.abort()
        await asyncio.sleep(0)


class Serving:
    """Answers on a bound socket from its construction to `stop`. Closes the socket.

    A connection on which nothing has moved for `patience_s`, or up to twice that, is cut.
    """

    def __init__(self, app: ASGIApp, bound: socket.socket, patience_s: float) -> None:
        self._uvicorn = _Uvicorn(_config(app, patience_s))
        self._thread = threading.Thread(
            target=self._uvicorn.run, args=([bound],), name="histq-web", daemon=True
        )
        self._thread.start()
        if not self._uvicorn.up.wait(START_S):
            self.stop()
            raise StorageFailed("the HTTP server did not start; the log says why")

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        """Returns when the thread has ended: in a tenth of a second, or a second under load."""
        self._uvicorn.should_exit = True
        self._thread.join()


def _config(app: ASGIApp, patience_s: float) -> uvicorn.Config:
    options: dict[str, Any] = {
        "loop": "asyncio",
        "http": partial(Impatient, patience_s=patience_s),
        "ws": "none",
        "lifespan": "off",
        "interface": "asgi3",
        "proxy_headers": False,
        "server_header": False,
        "access_log": False,
        "log_config": None,
        # Its warnings tell of every malformed request: whoever sends them could fill our log.
        "log_level": logging.ERROR,
        "limit_concurrency": MOST_CONNECTIONS,
        "h11_max_incomplete_event_size": MOST_HEAD,
        "timeout_keep_alive": KEEP_ALIVE_S,
        "timeout_graceful_shutdown": GRACE_S,
    }
    return uvicorn.Config(app, **options)
