"""The only HTTP. Asks a provider for a window: budget, retries, and what an answer means.

Retries follow Retry-After, else 1, 2, 4, 8 ... s with jitter; they end before `max_wait_s` in all.
"""

import logging
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.wait import wait_exponential_jitter

from histq import __version__
from histq.budget import Budget
from histq.errors import Config, Misshapen, Stopped, Throttled, Transient
from histq.host import Clock, wall_clock
from histq.model import SPOT, Candle, Interval, Market, Series, Window, iso
from histq.providers import Ask, Coin, Dated, Provider, Reply, Request, Searchable
from histq.settings import SourceSettings, plan_of
from histq.stop import Stop

logger = logging.getLogger(__name__)

T = TypeVar("T")

LEAST_KEY_BYTES: Final = 8
"""What is shorter than this is no key, and might stand in a body by chance."""

OnRetry = Callable[[str, float], None]
"""Called with what went wrong and the seconds until the next try."""


class Answer(NamedTuple):
    """The closed candles of one page, ascending, and the stretch that they answer for.

    `window` is shorter than the one asked for where candles in it are not closed yet, by the
    provider's own clock, or where the provider has more to say than one page holds.
    """

    window: Window
    candles: list[Candle]


class Client:
    """Talks to one source. Safe to share by threads."""

    def __init__(
        self,
        provider: Provider,
        settings: SourceSettings,
        budget: Budget,
        *,
        stop: Stop,
        clock: Clock = wall_clock,
        on_retry: OnRetry = lambda why, wait_s: None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._provider = provider
        self._key = settings.key.encode()
        self._max_wait_s = settings.max_wait_s
        self._timeout_s = settings.timeout_s
        self._budget = budget
        self._stop = stop
        self._clock = clock
        self._on_retry = on_retry
        plan = plan_of(settings)
        self._http = httpx.Client(
            base_url=provider.base_url(settings.base_url, plan),
            headers={
                "user-agent": f"histq/{__version__}",
                **provider.headers(settings.key, plan),
            },
            timeout=settings.timeout_s,
            limits=httpx.Limits(max_connections=settings.concurrency),
            transport=transport,
        )
        self.requests = 0

    def ask(self, ask: Ask) -> list[Answer]:
        """What the provider says of the window, a page or, where it had more to say, several.

        Raises Throttled, Transient and Misshapen after their retries, Permanent, Refused,
        UnknownMarket and Credentials at once, Stopped when the stop comes.
        """
        answers = []
        left: Window | None = ask.window
        while left is not None:
            part = ask._replace(window=left)
            request = self._provider.request(part)
            candles, server_now = self._persist(part, request, self._provider.parse)
            answer, left = _answer(part, candles, server_now, self._provider)
            answers.append(answer)
        return answers

    def first_open(self, ask: Ask, provider: Dated) -> int | None:
        """When the earliest candle of the series opened, however old. Raises as `ask` does."""
        found, _ = self._persist(ask, provider.first_request(ask), provider.first_open)
        return min(found, default=None)

    def find(self, ticker: str, provider: Searchable) -> list[Coin]:
        """The coins with that ticker. Raises as `ask` does."""
        now = self._clock()
        series = Series(self._provider.name, ticker, "search")
        market = Market(ticker, ticker, "", "")
        ask = Ask(series, market, Interval(SPOT), Window(now, now), "", now)
        coins, _ = self._persist(
            ask, provider.search_request(), lambda body, ask: provider.found(body, ticker, ask)
        )
        return coins

    def close(self) -> None:
        self._http.close()

    def _persist(
        self, ask: Ask, request: Request, parse: Callable[[bytes, Ask], list[T]]
    ) -> tuple[list[T], int]:
        """What the answer holds, and the provider's clock; tries again while that may help."""
        asked_s = 0.0

        def once() -> tuple[list[T], int]:
            nonlocal asked_s
            self._await_turn(ask)
            began = time.monotonic()
            try:
                return self._once(ask, request, parse)
            finally:
                asked_s += time.monotonic() - began

        def patience_ends(state: RetryCallState) -> bool:
            # Waiting for our turn does not count: it is no fault of the provider.
            return state.idle_for + asked_s + state.upcoming_sleep > self._max_wait_s

        retrying = Retrying(
            retry=retry_if_exception_type(Transient),
            wait=_wait_s,
            stop=patience_ends,
            sleep=self._stop.sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retrying(once)
        except Throttled as error:
            if not error.retry_after_s:
                raise
            free_at = self._clock() + round(error.retry_after_s * 1000)
            raise Throttled(f"{error}; not before {iso(free_at)}", error.retry_after_s) from error

    def _once(
        self, ask: Ask, request: Request, parse: Callable[[bytes, Ask], list[T]]
    ) -> tuple[list[T], int]:
        reply = self._get(ask, request)
        try:
            self._provider.check(reply, ask)
        except Throttled as error:
            if error.retry_after_s:
                self._budget.silence(error.retry_after_s)
            raise
        server_now = _server_now(reply) or self._clock()
        try:
            return parse(reply.body, ask), server_now
        except Misshapen as error:
            error.answered_at = server_now
            raise

    def _await_turn(self, ask: Ask) -> None:
        while (wait_s := self._budget.take()) > 0:
            silence_s = self._budget.silence_s()
            if silence_s > self._max_wait_s:
                raise Throttled(
                    f"{ask}: {ask.series.source} wants no requests for {silence_s:.0f} s", silence_s
                )
            self._stop.sleep(min(wait_s, 1.0))
        if self._stop:
            raise Stopped("stopped before the next request")

    def _get(self, ask: Ask, request: Request) -> Reply:
        self.requests += 1
        try:
            status, headers, body = self._read(ask, request)
        except (httpx.UnsupportedProtocol, httpx.InvalidURL, UnicodeError) as error:
            raise Config(f"[sources.{ask.series.source}] base_url: {error}") from error
        except httpx.TimeoutException as error:
            raise Transient(f"{ask}: no answer in time ({type(error).__name__})") from error
        except httpx.RequestError as error:
            raise Transient(f"{ask}: {error or type(error).__name__}") from error
        logger.debug("%s: HTTP %s, %d bytes", ask, status, len(body))
        # A proxy may echo what it was sent, and bodies end up in messages and dead letters.
        if len(self._key) >= LEAST_KEY_BYTES:
            body = body.replace(self._key, b"(key)")
        return Reply(status, headers, body)

    def _read(self, ask: Ask, request: Request) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body. Raises Stopped, and Transient past `timeout_s` in all.

        httpx bounds the wait for each piece, not for all of them: an answer that comes a byte a
        second would never end.
        """
        path, params = request.path.lstrip("/"), dict(request.params)
        deadline = time.monotonic() + self._timeout_s
        body = bytearray()
        with self._http.stream("GET", path, params=params) as response:
            for piece in response.iter_bytes():
                body += piece
                if self._stop:
                    raise Stopped("stopped while an answer was coming in")
                if time.monotonic() > deadline:
                    raise Transient(f"{ask}: the answer took longer than {self._timeout_s:g} s")
        return response.status_code, dict(response.headers), bytes(body)

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Throttled):
            self._budget.silence(state.upcoming_sleep)
        self._on_retry(str(error), state.upcoming_sleep)


def open_client(
    provider: Provider,
    settings: SourceSettings,
    state_folder: Path,
    *,
    stop: Stop,
    clock: Clock = wall_clock,
    on_retry: OnRetry = lambda why, wait_s: None,
) -> Client:
    """A client under the budget that all processes of this machine share for the source's host.

    Raises Config where none can be made: a proxy, a certificate file or an address that is wrong.
    """
    host = urlsplit(provider.base_url(settings.base_url, plan_of(settings))).netloc
    budget = Budget(state_folder, host, settings.requests_per_minute, clock=clock)
    try:
        return Client(provider, settings, budget, stop=stop, clock=clock, on_retry=on_retry)
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise Config(
            f"{provider.name}: cannot set up HTTP: {error}; look at the base_url of"
            f" [sources.{provider.name}] and at HTTP_PROXY, ALL_PROXY and SSL_CERT_FILE"
        ) from error


_backoff = wait_exponential_jitter(initial=1, max=30, jitter=0.5)


def _wait_s(state: RetryCallState) -> float:
    """What the provider asked for, else our backoff; "at once" is believed once."""
    error: Any = state.outcome.exception() if state.outcome else None
    asked: float | None = error.retry_after_s
    if asked is None or (asked == 0 and state.attempt_number > 1):
        return _backoff(state)
    return asked


def _server_now(reply: Reply) -> int | None:
    """The provider's clock by its Date header, ms, to the second; None where it says nothing."""
    try:
        return round(parsedate_to_datetime(reply.headers["date"]).timestamp() * 1000)
    except (KeyError, ValueError):
        return None


def _answer(
    ask: Ask, candles: list[Candle], server_now: int, provider: Provider
) -> tuple[Answer, Window | None]:
    """The answer without open candles, and the window that is left to ask for, if any."""
    start, end = ask.window
    interval = ask.interval
    closed = [c for c in candles if interval.closes_at(c) < server_now]
    closed.sort(key=attrgetter("timestamp"))
    final = min(end, max(start, interval.floor(server_now) if interval.gridded else server_now))
    if len(candles) >= provider.page_slots(interval) and interval.gridded:
        last = closed[-1].timestamp if closed else start
        # A page as full as pages get has said all only when its candles fill the grid: one off the
        # grid may have pushed the window's last ones out.
        off_grid = any(c.timestamp != interval.floor(c.timestamp) for c in closed)
        if off_grid or interval.next(last) < final:
            left = Window(last + 1, final)
            return Answer(Window(start, last + 1), closed), left if left.start < final else None
    return Answer(Window(start, final), closed), None
