"""The providers' seam. A provider is one file here that names itself `PROVIDER`: it maps intervals,
builds a request for a window, tells the errors that a reply holds, and parses the rest into
candles. It does no I/O and has no clock.
"""

import importlib
import json
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, runtime_checkable

import msgspec

from histq.errors import Permanent, Refused, Throttled, Transient
from histq.model import Candle, Interval, Market, Series, Token, Window

EXCERPT_CHARS: Final = 160
UNREADABLE: Final = (msgspec.DecodeError, ValueError, OverflowError, RecursionError)
"""What decoding and converting a body may raise when it is none."""

QUOTES: Final = ("USDT", "USDC", "FDUSD", "USD", "EUR", "TRY", "BTC", "ETH", "BNB")
MISTAKABLE: Final = ("BUSD", "TUSD")
"""Quotes whose first letter may as well be the last one of a coin in USD: SHIB, DOT, USDT."""

WELL_KNOWN: Final = frozenset(
    ("BTC", "ETH", "SOL", "BNB", "XRP", "ADA", "DOGE", "TRX", "AVAX", "LINK", "DOT", "LTC", "BCH")
)
"""Coins that are meant where one of those quotes can be."""


class Defaults(NamedTuple):
    """What a source is set to unless the user says otherwise.

    `requests_per_minute` is ours to keep to, below what the provider allows. `plans` are the values
    that the setting `plan` may take, the first being the default; empty where it means nothing.
    A request costs `cost` of what the provider counts by `unit`. `monthly_credits` are what a plan
    grants, a credit a request; a plan that is not among them is not counted. `max_wait_s` is how
    long retrying one request is worth the wait.
    """

    base_url: str
    enabled: bool
    intervals: tuple[str, ...]
    requests_per_minute: int
    concurrency: int
    plans: tuple[str, ...] = ()
    cost: int = 1
    unit: str = "requests"
    monthly_credits: Mapping[str, int] = MappingProxyType({})
    max_wait_s: float = 120.0


class Ask(NamedTuple):
    """One page of one series. `now` is when it is asked for."""

    series: Series
    market: Market
    interval: Interval
    window: Window
    plan: str
    now: int

    def __str__(self) -> str:
        if self.window.start == self.window.end:  # not about candles
            return str(self.series)
        return f"{self.series}/{self.window}"


class Request(NamedTuple):
    """A GET below the source's base_url."""

    path: str
    params: Mapping[str, str | int]


class Reply(NamedTuple):
    """What came back. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Provider(Protocol):
    @property
    def name(self) -> str:
        """The source, as it stands in the table."""

    @property
    def intervals(self) -> tuple[str, ...]:
        """What it serves, by our names."""

    @property
    def defaults(self) -> Defaults: ...

    @property
    def key_hint(self) -> str:
        """Why nothing is served without a key, and what to do. Empty where none is needed."""

    def market(self, token: Token) -> Market | None:
        """The market of a configured token; None where the token does not say enough."""

    def named(self, symbol: str) -> Market | None:
        """The market of a symbol that is no token; None where it needs a mapping."""

    def page_slots(self, interval: Interval) -> int:
        """How many slots one request may span."""

    def reach(self, interval: Interval, plan: str, now: int) -> int | None:
        """The earliest open time that the plan serves; None without such a limit."""

    def publish_delay_ms(self, interval: Interval) -> int:
        """How long after its close a candle may still be absent, or cached away."""

    def cache_ms(self, interval: Interval) -> int:
        """For how long it may give the same answer again without having looked."""

    def base_url(self, configured: str, plan: str) -> str:
        """Where requests go."""

    def headers(self, api_key: str, plan: str) -> dict[str, str]:
        """Sent with every request; keys travel here and nowhere else."""

    def request(self, ask: Ask) -> Request: ...

    def check(self, reply: Reply, ask: Ask) -> None:
        """Raises what the reply, by its status or its body, says went wrong."""

    def parse(self, body: bytes, ask: Ask) -> list[Candle]:
        """The candles that open in the window, in the order of the reply, the open one included.

        Raises Misshapen for a body that holds no candles.
        """


class Coin(NamedTuple):
    """A coin as a provider lists it."""

    id: str
    symbol: str
    name: str


@runtime_checkable
class Dated(Protocol):
    """A provider that can be asked for the first candle of a market."""

    def first_request(self, ask: Ask) -> Request: ...

    def first_open(self, body: bytes, ask: Ask) -> list[int]:
        """The open time of the earliest candle; none where there is no candle. Raises Misshapen."""


@runtime_checkable
class Archive(Provider, Protocol):
    """A provider of files that hold what another source would say, each with its checksum.

    One file is one window: `files` says which there are, `request` names the file of a window that
    lies in one of them.
    """

    @property
    def archive_of(self) -> str:
        """The source whose candles these are."""

    @property
    def same_hosts(self) -> tuple[str, ...]:
        """Hosts of that source whose answers are the archive's; others are markets of their own."""

    def files(self, window: Window, interval: Interval, now: int) -> list[Window]:
        """The parts of the window that files hold which should be published by now, a file each."""

    def file_name(self, ask: Ask) -> str: ...

    def checksum_request(self, ask: Ask) -> Request: ...

    def checksum(self, body: bytes, ask: Ask) -> str:
        """SHA-256 of the file, in hex. Raises Misshapen."""


@runtime_checkable
class Searchable(Protocol):
    """A provider whose tickers name several coins, so that users must look ids up."""

    def search_request(self) -> Request:
        """For the list of all its coins."""

    def found(self, body: bytes, ticker: str, ask: Ask) -> list[Coin]:
        """The coins with that ticker, in the provider's order. Raises Misshapen."""


class Used(NamedTuple):
    """How much of what the host allows our address is used up, whoever used it.

    `share` is 1 when it is all of it; it begins anew with every `window_s` of the UTC clock.
    """

    share: float
    window_s: int


@runtime_checkable
class Metered(Protocol):
    """A provider whose replies tell how much of the host's limit is used."""

    def used(self, reply: Reply) -> Used | None:
        """None where this one does not tell."""


@cache
def providers() -> dict[str, Provider]:
    """Every provider in this folder, by name."""
    found = (
        importlib.import_module(f"{__name__}.{module.name}").PROVIDER
        for module in pkgutil.iter_modules(__path__)
    )
    return {provider.name: provider for provider in found}


def check_status(reply: Reply, ask: Ask) -> None:
    """What a status means where the provider has nothing of its own to say about it."""
    if reply.status < 300:
        return
    said = f"{ask}: HTTP {reply.status} {excerpt(reply.body)}"
    if reply.status == 451:
        raise Refused(
            f"{ask.series}: HTTP 451, this host does not serve your location; ask from another one,"
            f" or set enabled = false in [sources.{ask.series.source}]"
        )
    if reply.status == 429:
        raise Throttled(said, retry_after_s(reply))
    if reply.status >= 500 or reply.status == 408:
        raise Transient(said, retry_after_s(reply))
    raise Permanent(f"{said}; not asked again: check base_url of [sources.{ask.series.source}]")


def retry_after_s(reply: Reply) -> float | None:
    """The Retry-After header in seconds. Its other form, a date, none of these providers uses."""
    value = reply.headers.get("retry-after", "").strip()
    return float(value) if re.fullmatch(r"\d+(\.\d+)?", value) else None


def excerpt(body: bytes) -> str:
    """The beginning of a body on one line; of a page of HTML, its title."""
    text = body.decode(errors="replace")
    if title := re.search(r"<title>(.*?)</title>", text, re.IGNORECASE | re.DOTALL):
        text = title[1]
    text = " ".join(text.split())
    return text if len(text) <= EXCERPT_CHARS else text[:EXCERPT_CHARS] + "…"


def json_object(body: bytes) -> dict[str, object]:
    """The JSON object in the body; empty where it holds none."""
    try:
        found = json.loads(body)
    except UNREADABLE:
        return {}
    return found if isinstance(found, dict) else {}


def split_symbol(symbol: str) -> tuple[str, str] | None:
    """Base and quote of a symbol such as BTCUSDT or BTC/USDT, by the quotes that markets use.

    BTCBUSD is BTC in BUSD, and ARBUSD is ARB in USD: without a slash the longer one is meant of
    well-known coins alone.
    """
    base, slash, quote = symbol.partition("/")
    if slash:
        return (base, quote) if base and quote else None
    for quote in MISTAKABLE:
        if symbol.endswith(quote) and symbol.removesuffix(quote) in WELL_KNOWN:
            return symbol.removesuffix(quote), quote
    for quote in QUOTES:
        if symbol.endswith(quote) and symbol != quote:
            return symbol.removesuffix(quote), quote
    return None
