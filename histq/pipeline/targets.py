"""Which series a command means: symbols, sources and intervals into targets, or why not."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from histq.config import source_settings
from histq.errors import Config, Credentials, Usage
from histq.model import Interval, Market, Series, Token
from histq.pipeline.reports import Skipped
from histq.providers import Dated, Provider, providers
from histq.settings import Settings, SourceSettings

_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,20}(/[A-Z0-9]{1,20})?")


class Target(NamedTuple):
    """One series to fetch, and whom to ask for it."""

    provider: Provider
    settings: SourceSettings
    market: Market
    interval: Interval

    @property
    def series(self) -> Series:
        return Series(self.provider.name, self.market.symbol, self.interval.name)


class Selection(NamedTuple):
    targets: list[Target]
    skipped: list[Skipped]

    def dated(self) -> "Selection":
        """Without the sources that cannot tell their first candle. Raises Usage where none can."""
        able = [target for target in self.targets if isinstance(target.provider, Dated)]
        unable = {t.provider.name for t in self.targets if not isinstance(t.provider, Dated)}
        why = "cannot tell when a market was listed; name a date with --from"
        if not able:
            raise Usage(f"{', '.join(sorted(unable))} {why}")
        skipped = [Skipped(name, f"{name} {why}") for name in sorted(unable)]
        return Selection(able, [*self.skipped, *skipped])


def select(
    settings: Settings,
    symbols: Sequence[str] = (),
    sources: Sequence[str] = (),
    intervals: Sequence[str] = (),
) -> Selection:
    """The targets meant; nothing named means all tokens, all enabled sources, their intervals.

    What a source that was named by the user lacks is an error (Usage, Credentials); what one of
    the others lacks is skipped. Raises Usage too when nothing is left.
    """
    asked = [Interval.parse(name) for name in intervals]
    wanted = [resolve(symbol, settings) for symbol in symbols]
    markets = [token for tokens in wanted for token in tokens] or [t.token for t in settings.tokens]
    chosen = sources or [name for name, source in settings.sources.items() if source.enabled]
    if not chosen:
        raise Config("no source is enabled; set enabled = true in [sources.binance]")
    selection = Selection([], [])
    refusals: list[Usage | Credentials] = []
    for name in dict.fromkeys(chosen):
        found = _source_targets(name, settings, list(dict.fromkeys(markets)), asked)
        for item in found:
            if isinstance(item, Target):
                selection.targets.append(item)
            elif name in sources:
                raise item
            else:
                refusals.append(item)
                selection.skipped.append(Skipped(name, str(item)))
    if not selection.targets:
        # Nothing is left to do: what the user asked for comes before what they never set up.
        raise min(refusals, key=lambda refusal: refusal.exit_code)
    return selection


def _source_targets(
    name: str, settings: Settings, markets: list[Token | str], asked: list[Interval]
) -> Iterator[Target | Usage | Credentials]:
    source, provider = source_settings(settings, name), providers().get(name)
    assert provider is not None, "settings know the providers' names only"
    if provider.key_hint and not source.key:
        yield Credentials(f"{name}: {provider.key_hint}")
        return
    for interval in asked or [Interval(i) for i in source.intervals]:
        if interval.name not in provider.intervals:
            served = ", ".join(provider.intervals)
            yield Usage(f"{name} has no interval {interval.name}; it serves {served}")
            continue
        for wanted in markets:
            yield _target(provider, source, interval, wanted)


def _target(
    provider: Provider, source: SourceSettings, interval: Interval, wanted: Token | str
) -> Target | Usage:
    named = isinstance(wanted, str)
    market = provider.named(wanted) if isinstance(wanted, str) else provider.market(wanted)
    if market is None:
        symbol = wanted if isinstance(wanted, str) else wanted.base
        what = "is no token of histq.toml" if named else "has no coingecko_id"
        return Usage(
            f"{provider.name}: {symbol} {what}, and a ticker alone does not say which coin is"
            " meant; add [[tokens]] with base, quote and coingecko_id"
        )
    return Target(provider, source, market, interval)


def resolve(symbol: str, settings: Settings) -> list[Token | str]:
    """The tokens that the user's symbol names, or the symbol itself where none. Raises Usage."""
    text = symbol.upper().replace("-", "/")
    if not _SYMBOL.fullmatch(text):
        raise Usage(f"no symbol {symbol!r}; write BTCUSDT, BTC/USDT or BTC")
    joined = text.replace("/", "")
    tokens = [token.token for token in settings.tokens]
    named = [t for t in tokens if joined in (t.base + t.quote, t.base, t.base + "USD")]
    return list(named) or [text]
