"""People and monitors that ask a daemon over HTTP, now and then, all the time that it runs."""

import threading
from collections import Counter
from itertools import cycle
from types import TracebackType
from typing import Final, Self

import httpx

PAUSE_S: Final = 0.2
PATIENCE_S: Final = 10.0
PRICES: Final = "/api/prices?source=binance&symbol=BTCUSDT&interval=1s&limit=500"
PATHS: Final = (
    *("/healthz", "/readyz", "/metrics", "/api/stats", "/api/series", "/api/queue", PRICES, "/"),
    *("/api/prices?symbol=%00", "/nowhere"),  # what must be refused
)
WELL: Final = frozenset({200, 404, 422, 400})


class Visitors:
    """One after the other, in a thread, while the block runs. Every one makes a new connection.

    `answers` counts what came by status, `unanswered` what met no daemon, as during its death;
    `odd` says of each other answer what was asked, but for /readyz, which may say that not all is
    ready.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._visit)
        self.answers: Counter[int] = Counter()
        self.unanswered = 0
        self.odd: list[str] = []

    def _visit(self) -> None:
        for path in cycle(PATHS):
            if self._done.wait(PAUSE_S):
                return
            try:
                answer = httpx.get(self._url + path, timeout=PATIENCE_S, trust_env=False)
            except httpx.TransportError:
                self.unanswered += 1
                continue
            self.answers[answer.status_code] += 1
            if answer.status_code not in WELL and path != "/readyz":
                self.odd.append(f"{path}: {answer.status_code}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._thread.join()
