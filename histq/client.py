"""Asks a provider for a window, and says what the answer means: which candles, of what stretch."""

import hashlib
from collections.abc import Callable
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple, TypeVar

from histq.errors import Misshapen, Transient
from histq.host import Clock, wall_clock
from histq.http import Get, Http, OnRetry, open_http
from histq.model import SPOT, Candle, Interval, Market, Series, Window
from histq.providers import Archive, Ask, Coin, Dated, Provider, Request, Searchable
from histq.settings import SourceSettings
from histq.stop import Stop

T = TypeVar("T")


class Answer(NamedTuple):
    """The closed candles of one page, ascending, and the stretch that they answer for.

    `window` is shorter than the one asked for where candles in it are not closed yet, by the
    provider's own clock, or where the provider has more to say than one page holds. `via` names the
    file that they come from, and its checksum; None for the source's own API.
    """

    window: Window
    candles: list[Candle]
    via: str | None = None


class Client:
    """One provider's answers. Safe to share by threads."""

    def __init__(self, provider: Provider, http: Http, clock: Clock = wall_clock) -> None:
        self._provider = provider
        self._http = http
        self._clock = clock

    @property
    def requests(self) -> int:
        """How many went out."""
        return self._http.requests

    def ask(self, ask: Ask) -> list[Answer]:
        """What the provider says of the window, a page or, where it had more to say, several.

        Raises Throttled, Transient and Misshapen after their retries, Permanent, Refused,
        UnknownMarket and Credentials at once, Stopped when the stop comes.
        """
        answers: list[Answer] = []
        left: Window | None = ask.window
        while left is not None:
            part = ask._replace(window=left)
            request = self._provider.request(part)
            candles, said_at = self._parsed(part, request, self._provider.parse)
            answer, left = _answer(part, candles, said_at, self._provider)
            if answers and not answer.candles and not ask.interval.slots(*answer.window):
                # Nothing more to say, and no slot that could be empty.
                answer = _extended(answers.pop(), answer.window.end)
            answers.append(answer)
        return answers

    def take(self, ask: Ask, archive: Archive, held: str | None = None) -> list[Answer]:
        """What the archive's file says of the window; nothing where it is still the one `held`.

        Not a candle of a file whose checksum is not the announced one. Raises NotPublished, and as
        `ask` does.
        """

        def attempt(get: Get) -> list[Answer]:
            # Anew in every attempt: a file that is being replaced disagrees with it for a while.
            checksum = archive.checksum(get(archive.checksum_request(ask)).body, ask)
            name = archive.file_name(ask)
            via = f"{name} sha256:{checksum}"
            if via == held:
                return []
            reply = get(archive.request(ask))
            if (found := hashlib.sha256(reply.body).hexdigest()) != checksum:
                raise Transient(f"{ask}: {name} has SHA-256 {found}, its CHECKSUM says {checksum}")
            candles, said_at = archive.parse(reply.body, ask), self._http.said_at(reply)
            closed = _closed(candles, ask.interval, said_at)
            return [Answer(ask.window, closed, via)]

        return self._http.persist(ask, attempt)

    def first_open(self, ask: Ask, provider: Dated, *, once: bool = False) -> int | None:
        """When the earliest candle of the series opened, however old. Raises as `ask` does.

        With `once` nothing is tried again.
        """
        found, _ = self._parsed(ask, provider.first_request(ask), provider.first_open, once=once)
        return min(found, default=None)

    def answered_at(self, ask: Ask) -> int:
        """When the provider answered, by its clock where it tells. Asks once, raises as `ask`."""

        def attempt(get: Get) -> int:
            reply = get(self._provider.request(ask))
            self._provider.parse(reply.body, ask)
            return self._http.said_at(reply)

        return self._http.persist(ask, attempt, once=True)

    def find(self, ticker: str, provider: Searchable) -> list[Coin]:
        """The coins with that ticker. Raises as `ask` does."""
        now = self._clock()
        series = Series(self._provider.name, ticker, "search")
        market = Market(ticker, ticker, "", "")
        ask = Ask(series, market, Interval(SPOT), Window(now, now), "", now)
        coins, _ = self._parsed(
            ask, provider.search_request(), lambda body, ask: provider.found(body, ticker, ask)
        )
        return coins

    def close(self) -> None:
        self._http.close()

    def _parsed(
        self,
        ask: Ask,
        request: Request,
        parse: Callable[[bytes, Ask], list[T]],
        *,
        once: bool = False,
    ) -> tuple[list[T], int]:
        """What the answer holds, and when it was given by the provider's clock."""

        def attempt(get: Get) -> tuple[list[T], int]:
            reply = get(request)
            said_at = self._http.said_at(reply)
            try:
                return parse(reply.body, ask), said_at
            except Misshapen as error:
                error.answered_at = said_at
                raise

        return self._http.persist(ask, attempt, once=once)


def open_client(
    provider: Provider,
    settings: SourceSettings,
    state_folder: Path,
    *,
    stop: Stop,
    clock: Clock = wall_clock,
    on_retry: OnRetry = lambda why, wait_s: None,
) -> Client:
    """A client of the source. Raises Config as `open_http` does."""
    http = open_http(provider, settings, state_folder, stop=stop, clock=clock, on_retry=on_retry)
    return Client(provider, http, clock)


def _answer(
    ask: Ask, candles: list[Candle], said_at: int, provider: Provider
) -> tuple[Answer, Window | None]:
    """The answer without open candles, and the window that is left to ask for, if any."""
    start, end = ask.window
    interval = ask.interval
    closed = _closed(candles, interval, said_at)
    final = min(end, max(start, interval.floor(said_at) if interval.gridded else said_at))
    if len(candles) >= provider.page_slots(interval) and interval.gridded:
        last = closed[-1].timestamp if closed else start
        # A page as full as pages get has said all only when its candles fill the grid: one off the
        # grid may have pushed the window's last ones out.
        off_grid = any(c.timestamp != interval.floor(c.timestamp) for c in closed)
        if off_grid or interval.next(last) < final:
            left = Window(last + 1, final)
            return Answer(Window(start, last + 1), closed), left if left.start < final else None
    return Answer(Window(start, final), closed), None


def _extended(answer: Answer, end: int) -> Answer:
    return answer._replace(window=Window(answer.window.start, end))


def _closed(candles: list[Candle], interval: Interval, said_at: int) -> list[Candle]:
    """Those that had closed by then, ascending."""
    long_ago = said_at - interval.step_ms  # what opened before this and closed regularly is closed
    closed = [
        c
        for c in candles
        if (c.timestamp < long_ago and c.close_time is None) or interval.closes_at(c) < said_at
    ]
    closed.sort(key=attrgetter("timestamp"))
    return closed
