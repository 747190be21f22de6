"""The ledger of many series at once: which are meant, what they lack, and whom to ask again."""

from collections.abc import Sequence
from typing import NamedTuple

from histq.config import source_settings
from histq.errors import Usage
from histq.gaps import Coverage, Gap, coverage, gaps
from histq.model import Interval, Market, Series, Span
from histq.pipeline.reports import Skipped
from histq.pipeline.targets import Selection, Target, resolve, shelf_of
from histq.plan import unexplained
from histq.providers import Provider, providers
from histq.settings import Settings
from histq.stores import Store


class Ledger(NamedTuple):
    """One series and what is known of it."""

    series: Series
    spans: list[Span]


def ledgers(
    store: Store,
    settings: Settings,
    symbols: Sequence[str] = (),
    sources: Sequence[str] = (),
    intervals: Sequence[str] = (),
) -> list[Ledger]:
    """The series that the user means; all without a word. Raises Usage where there is none."""
    for interval in intervals:
        Interval.parse(interval)
    held = store.series()
    for source in sources:
        if all(series.source != source for series in held):  # imports bring sources of their own
            source_settings(settings, source)
    names = {name for symbol in symbols for name in _names(symbol, settings)}
    found = [
        Ledger(series, store.spans(series))
        for series in held
        if (not names or series.symbol in names)
        and (not sources or series.source in sources)
        and (not intervals or series.interval in intervals)
    ]
    if not found and (names or sources or intervals):
        raise Usage("no such series in this database; histq stats lists them")
    return found


def _names(symbol: str, settings: Settings) -> set[str]:
    """What the sources call the market that the user names."""
    found = set()
    for named in resolve(symbol, settings):
        if isinstance(named, str):
            markets = (provider.named(named) for provider in providers().values())
            found |= {market.symbol for market in markets if market}
        else:
            found |= {named.base + named.quote, f"{named.base}USD"}
    return found


def all_gaps(found: Sequence[Ledger]) -> list[Gap]:
    return [gap for ledger in found for gap in gaps(*ledger)]


def all_coverage(found: Sequence[Ledger]) -> list[Coverage]:
    return [coverage(*ledger) for ledger in found]


def to_repair(found: Sequence[Ledger], settings: Settings) -> Selection:
    """The series with holes that asking again may fill, and those nobody can be asked for."""
    selection = Selection([], [])
    for series, spans in found:
        if unexplained(spans):
            target = _target(series, settings)
            if isinstance(target, Target):
                selection.targets.append(target)
            else:
                selection.skipped.append(Skipped(series.source, f"{series}: {target}"))
    return selection


def _target(series: Series, settings: Settings) -> Target | str:
    """Whom to ask for the series, or why nobody."""
    provider = providers().get(series.source)
    if provider is None:
        return "this histq has no such source"
    source = settings.sources[series.source]
    if provider.key_hint and not source.key:
        return provider.key_hint
    market = _market(provider, series, settings)
    if market is None:
        return "no token in histq.toml is this market"
    shelf = shelf_of(provider, settings)
    return Target(provider, source, market, Interval(series.interval), shelf)


def _market(provider: Provider, series: Series, settings: Settings) -> Market | None:
    """The market of a configured token that the source calls so, else of the bare symbol."""
    markets = (provider.market(token.token) for token in settings.tokens)
    named = (market for market in markets if market and market.symbol == series.symbol)
    return next(named, None) or provider.named(series.symbol)
