"""What the tests of the HTTP side share: a server on loopback, and a database at work."""

import contextlib
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from pathlib import Path
from typing import Any, Final

import httpx

from histq.config import load
from histq.host import wall_clock
from histq.model import Candle, DeadLetter, Draft, Kind, Reason, Series, Span, State, Window
from histq.page import flatten, pack
from histq.pipeline.backends import Opener
from histq.pipeline.targets import select
from histq.settings import Settings
from histq.stores import Batch
from histq.web import Server

HOUR: Final = 3_600_000
DAY: Final = 24 * HOUR
NOON: Final = 1_700_049_600_000  # 2023-11-15T12:00Z
BTC: Final = Series("binance", "BTCUSDT", "1h")
ETH: Final = Series("binance", "ETHUSDT", "1h")
TOKEN: Final = "a-token-of-sixteen-or-more"


def settings_in(folder: Path, **more: Any) -> Settings:
    return load({"database": {"path": str(folder / "histq.db")}, **more}, plain=True).settings


def opener(settings: Settings) -> Opener:
    return Opener(settings, "test:0:0:0:0")


def server(settings: Settings, listen: str = "127.0.0.1:0", **more: Any) -> Server:
    """Of a histq that fetches hours of BTC regularly, at noon."""
    options: dict[str, Any] = {
        "token": "",
        "state_folder": settings.database.path.parent / "state",
        "targets": select(settings, ["BTCUSDT"], ["binance"], ["1h"]).targets,
        "clock": lambda: NOON,
        **more,
    }
    return Server(listen=listen, opener=opener(settings), settings=settings, **options)


@contextlib.contextmanager
def serving(settings: Settings, **more: Any) -> Iterator[httpx.Client]:
    """A client of a server that runs while the block does."""
    one = server(settings, **more)
    one.start()
    try:
        with httpx.Client(base_url=one.address, trust_env=False) as client:
            yield client
    finally:
        one.stop()


def hours(*numbers: int) -> list[Candle]:
    """Candles that open so many hours before noon."""
    return [Candle(NOON - n * HOUR, n + 1.0, n + 2.0, n + 0.5, n + 1.5, 10.0) for n in numbers]


def lay(settings: Settings, clock: Callable[[], int] = wall_clock) -> None:
    """BTC is whole up to noon, of ETH two hours are missing; one page waits, two letters lie."""
    with opener(settings).open(create=True) as backends:
        store, queue = backends.store, backends.queue
        store.write(BTC, flatten(hours(*range(48, 0, -1))))
        store.record(BTC, [Span(NOON - 48 * HOUR, NOON, State.STORED)])
        store.write(ETH, flatten(hours(6, 5, 2, 1)))
        store.record(
            ETH,
            [
                Span(NOON - 6 * HOUR, NOON - 4 * HOUR, State.STORED),
                Span(NOON - 4 * HOUR, NOON - 2 * HOUR, State.FAILED, 0, NOON, "HTTP 503"),
                Span(NOON - 2 * HOUR, NOON, State.STORED),
            ],
        )
        waiting = Window(NOON - 100 * HOUR, NOON - 97 * HOUR)
        queue.put([Draft(ETH, waiting, 3, pack(flatten(hours(100, 99, 98))))])
        queue.keep([_letter(number) for number in (1, 2)])
        run = store.start_run("consume", "me")
        store.log_batch(run, Batch("binance", 2, 60, 52, 6, 1, 2, 30.0))


def _letter(hour: int) -> DeadLetter:
    window = Window(NOON - hour * HOUR, NOON - (hour - 1) * HOUR)
    error = f"high {hour}.0 is below low <b>9.0</b>"
    counts = {"failures": 0, "deliveries": 1, "queued_at": NOON, "failed_at": NOON - hour * 1000}
    return DeadLetter(
        0, Kind.CANDLE, ETH, window, 1, Reason.POISON, error, **counts, raw_data=f"{{{hour}}}"
    )


@contextlib.contextmanager
def raw(client: httpx.Client) -> Iterator[socket.socket]:
    """A bare connection to the same server."""
    url = client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        yield connection


def said(client: httpx.Client, request: bytes) -> int:
    """The status of the answer to these bytes; 0 where the connection is closed without one."""
    with raw(client) as connection:
        connection.sendall(request)
        answer = HTTPResponse(connection)
        try:
            answer.begin()
        except (ConnectionError, OSError, ValueError):
            return 0
        finally:
            answer.close()
        return answer.status
