"""The only HTTP. One host under its budget: turns, retries, patience, and silence when it is told.

Retries follow Retry-After, else 1, 2, 4, 8 ... s with jitter; they end before `max_wait_s` in all.
"""

import logging
import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import httpx
from tenacity import RetryCallState, Retrying, retry_if_exception_type
from tenacity.wait import wait_exponential_jitter

from histq import __version__
from histq.budget import Budget
from histq.budget.credits import Credits
from histq.errors import Config, Throttled, Transient
from histq.host import Clock, wall_clock
from histq.model import iso
from histq.providers import Ask, Metered, Provider, Reply, Request
from histq.settings import SourceSettings, plan_of
from histq.stop import Stop

logger = logging.getLogger(__name__)

T = TypeVar("T")

LEAST_KEY_BYTES: Final = 8
"""What is shorter than this is no key, and might stand in a body by chance."""

MOST_SHARE: Final = 0.9
"""Of what a host allows our address. The rest is for what others send, and what is on its way."""

OnRetry = Callable[[str, float], None]
"""Called with what went wrong and the seconds until the next try."""

Get = Callable[[Request], Reply]
"""Sends a request when its turn comes. Raises what the provider says went wrong, and Stopped."""


class Http:
    """Talks to one host for one provider. Safe to share by threads."""

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
        self._metered = provider if isinstance(provider, Metered) else None
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

    def persist(self, ask: Ask, attempt: Callable[[Get], T], *, once: bool = False) -> T:
        """What the attempt gives; tried again while it raises Transient and that may help.

        With `once` it is not. Raises Throttled with the instant before which nothing will help.
        """
        asked_s = 0.0

        def get(request: Request) -> Reply:
            nonlocal asked_s
            self._await_turn(ask)
            began = time.monotonic()
            try:
                return self._checked(ask, request)
            finally:
                asked_s += time.monotonic() - began

        def patience_ends(state: RetryCallState) -> bool:
            # Waiting for our turn does not count: it is no fault of the provider.
            return once or state.idle_for + asked_s + state.upcoming_sleep > self._max_wait_s

        retrying = Retrying(
            retry=retry_if_exception_type(Transient),
            wait=_wait_s,
            stop=patience_ends,
            sleep=self._stop.sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        try:
            return retrying(attempt, get)
        except Throttled as error:
            if not error.retry_after_s:
                raise
            free_at = round(self._clock() / 1000 + error.retry_after_s) * 1000
            raise Throttled(f"{error}; not before {iso(free_at)}", error.retry_after_s) from error

    def said_at(self, reply: Reply) -> int:
        """When it was said, ms: by the provider's Date header, to the second, else our clock."""
        return _server_now(reply) or self._clock()

    def close(self) -> None:
        self._budget.give_back()
        self._http.close()

    def _checked(self, ask: Ask, request: Request) -> Reply:
        reply = self._get(ask, request)
        self._slow_down(reply)
        try:
            self._provider.check(reply, ask)
        except Throttled as error:
            if error.retry_after_s:
                self._budget.silence(error.retry_after_s)
            raise
        return reply

    def _slow_down(self, reply: Reply) -> None:
        """Holds everybody of this machine until the host counts anew, where little is left."""
        used = self._metered.used(reply) if self._metered else None
        if used is None or used.share < MOST_SHARE:
            return
        left_s = used.window_s - self.said_at(reply) / 1000 % used.window_s
        logger.info(
            "nearly used up source=%s used=%.2f wait_s=%.0f",
            self._provider.name,
            used.share,
            left_s,
        )
        self._budget.hold(left_s)

    def _await_turn(self, ask: Ask) -> None:
        while (wait_s := self._budget.take()) > 0:
            if wait_s > self._max_wait_s:
                self._refuse_long_wait(ask)
            self._stop.sleep(min(wait_s, 1.0))
        if self._stop:
            raise self._stop.stopped("stopped before the next request")

    def _refuse_long_wait(self, ask: Ask) -> None:
        """Raises Throttled where the wait is for silence or credits; one for our turn is none."""
        source = ask.series.source
        silence_s = self._budget.silence_s()
        if silence_s > self._max_wait_s:
            raise Throttled(f"{ask}: {source} wants no requests for {silence_s:.0f} s", silence_s)
        for balance in self._budget.balances():
            left_s = (balance.ends_at - self._clock()) / 1000
            if not balance.left and left_s > self._max_wait_s:
                setting = f"credits_per_{balance.period} of [sources.{source}]"
                raise Throttled(f"{ask}: {balance} are spent, see {setting}", left_s)

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
        logger.debug("answer ask=%s status=%d bytes=%d", ask, status, len(body))
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
                    raise self._stop.stopped("stopped while an answer was coming in")
                if time.monotonic() > deadline:
                    raise Transient(f"{ask}: the answer took longer than {self._timeout_s:g} s")
        return response.status_code, dict(response.headers), bytes(body)

    def _tell(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Throttled):
            self._budget.silence(state.upcoming_sleep)
        self._on_retry(str(error), state.upcoming_sleep)


def open_http(
    provider: Provider,
    settings: SourceSettings,
    state_folder: Path,
    *,
    stop: Stop,
    clock: Clock = wall_clock,
    on_retry: OnRetry = lambda why, wait_s: None,
) -> Http:
    """HTTP under the budget that all processes of this machine share for the source's host.

    Raises Config where none can be made: a proxy, a certificate file or an address that is wrong.
    """
    budget = open_budget(provider, settings, state_folder, clock=clock)
    try:
        return Http(provider, settings, budget, stop=stop, clock=clock, on_retry=on_retry)
    except (ImportError, OSError, ValueError, httpx.InvalidURL) as error:
        raise Config(
            f"{provider.name}: cannot set up HTTP: {error}; look at the base_url of"
            f" [sources.{provider.name}] and at HTTP_PROXY, ALL_PROXY and SSL_CERT_FILE"
        ) from error


def open_budget(
    provider: Provider, settings: SourceSettings, state_folder: Path, *, clock: Clock = wall_clock
) -> Budget:
    """The one that all processes of this machine share for the source's host and key."""
    plan = plan_of(settings)
    credits = Credits.of_key(
        settings.key,
        per_day=settings.credits_per_day,
        per_month=settings.credits_per_month or provider.defaults.monthly_credits.get(plan, 0),
    )
    host = urlsplit(provider.base_url(settings.base_url, plan)).netloc
    return Budget(state_folder, host, settings.requests_per_minute, credits=credits, clock=clock)


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
