"""Which series can be compared: those of two sources, of one market, at one interval."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import combinations, product
from typing import Final, NamedTuple

import msgspec

from histq.errors import Usage
from histq.export import divides
from histq.model import SPOT, Interval, Series
from histq.providers import split_symbol

DOLLAR: Final = "USD"
DOLLAR_COINS: Final = ("USDT", "USDC", "FDUSD", "BUSD", "TUSD")
"""Quotes that are worth about a dollar, and are none."""


class Obstacle(StrEnum):
    """Why something is not compared; what an option can change comes first."""

    QUOTES = "quotes"
    INTERVALS = "intervals"
    SPOT = "spot"
    ALONE = "alone"


class LeftOut(msgspec.Struct, frozen=True):
    """Series that are not compared, by name, and why not."""

    series: list[str]
    obstacle: Obstacle
    why: str

    def __str__(self) -> str:
        return f"{', '.join(self.series)}: {self.why}"


class Pair(NamedTuple):
    """Two series and the interval at which they meet; `as_usd` are quotes taken for dollars."""

    left: Series
    right: Series
    interval: Interval
    as_usd: tuple[str, ...]


class Pairs(NamedTuple):
    pairs: list[Pair]
    left_out: list[LeftOut]


class Terms(NamedTuple):
    """How to pair: sources named first stand left; finer candles are merged into `coarse`."""

    order: Sequence[str] = ()
    coarse: Interval | None = None
    as_usd: bool = False


class _Member(NamedTuple):
    """A series of a market, what it is quoted in (None: unknown), and how it can be compared."""

    series: Series
    quote: str | None
    interval: Interval


_Found = Iterator[Pair | LeftOut]


def pair_up(found: Sequence[Series], terms: Terms) -> Pairs:
    """Every two of these series that can be compared, and what is left out.

    Raises Usage where no two can be.
    """
    results = list(_all(found, terms))
    pairs = [one for one in results if isinstance(one, Pair)]
    left_out = [one for one in results if isinstance(one, LeftOut)]
    if not pairs:
        raise Usage(_nothing(left_out))
    return Pairs(pairs, left_out)


def _nothing(left_out: Sequence[LeftOut]) -> str:
    if not left_out:
        return "there are no prices to compare; histq fetch gets some"
    first = min(left_out, key=lambda one: list(Obstacle).index(one.obstacle))
    more = len(left_out) - 1
    return f"{first} (and {more:,} more)" if more else str(first)


def _all(found: Sequence[Series], terms: Terms) -> _Found:
    markets: dict[tuple[str, str | None], list[_Member]] = {}
    for series in found:
        if series.interval == SPOT:
            why = "samples at irregular times cannot be compared candle by candle"
            yield LeftOut([str(series)], Obstacle.SPOT, why)
            continue
        base, quote = split_symbol(series.symbol) or (series.symbol, None)
        member = _Member(series, quote, Interval(series.interval))
        market = (base, DOLLAR if quote in DOLLAR_COINS else quote)
        markets.setdefault(market, []).append(member)
    for members in markets.values():
        yield from _of_market(members, terms)


def _of_market(members: Sequence[_Member], terms: Terms) -> _Found:
    if terms.coarse is not None:
        yield from _unfit(members, terms.coarse)
        members = _merged(members, terms.coarse)
    named = {member.series.source for member in members}
    sources = sorted(named, key=lambda source: _place(source, terms.order))
    if len(sources) == 1:
        why = "no other source to compare with among what was asked for"
        yield LeftOut(_names(members), Obstacle.ALONE, why)
    for left, right in combinations(sources, 2):
        lefts = [member for member in members if member.series.source == left]
        rights = [member for member in members if member.series.source == right]
        met = [(a, b) for a, b in product(lefts, rights) if a.interval == b.interval]
        if not met:
            yield LeftOut(_names([*lefts, *rights]), Obstacle.INTERVALS, _apart(lefts, rights))
        for a, b in met:
            yield _paired(a, b, as_usd=terms.as_usd)


def _place(source: str, order: Sequence[str]) -> tuple[int, str]:
    return (order.index(source) if source in order else len(order), source)


def _names(members: Iterable[_Member]) -> list[str]:
    return [str(member.series) for member in members]


def _unfit(members: Sequence[_Member], coarse: Interval) -> _Found:
    """The markets of a source that have no interval to make `coarse` of."""
    fit = {member.series[:2] for member in members if divides(member.interval, coarse)}
    for member in members:
        if member.series[:2] not in fit:
            why = f"{coarse.name} cannot be made of it"
            yield LeftOut([str(member.series)], Obstacle.INTERVALS, why)


def _merged(members: Sequence[_Member], coarse: Interval) -> list[_Member]:
    """One series a source and symbol at `coarse`: the coarsest there is, which is least to read."""
    best: dict[tuple[str, ...], _Member] = {}
    for member in sorted(members, key=lambda one: one.interval.step_ms):
        if divides(member.interval, coarse):
            best[member.series[:2]] = member._replace(interval=coarse)
    return list(best.values())


def _apart(lefts: Sequence[_Member], rights: Sequence[_Member]) -> str:
    """Why these have no interval in common, and what to do: the finest that both can be made to."""
    for coarse in sorted((m.interval for m in (*lefts, *rights)), key=lambda one: one.step_ms):
        if all(any(divides(m.interval, coarse) for m in side) for side in (lefts, rights)):
            return f"no interval in common; --resample {coarse.name} makes one"
    return "no interval in common, and none can be made of the others"


def _paired(left: _Member, right: _Member, *, as_usd: bool) -> Pair | LeftOut:
    quotes = {left.quote, right.quote}
    if len(quotes) == 1:
        return Pair(left.series, right.series, left.interval, ())
    if not as_usd:
        why = f"{left.quote} is not {right.quote}; --as-usd takes dollar coins for dollars"
        return LeftOut(_names((left, right)), Obstacle.QUOTES, why)
    coins = tuple(coin for coin in DOLLAR_COINS if coin in quotes)
    return Pair(left.series, right.series, left.interval, coins)
