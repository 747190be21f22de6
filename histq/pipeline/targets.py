"""Which series a command means: symbols, sources and intervals into targets, or why not."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from histq.config import source_settings
from histq.errors import Config, Credentials, Usage
from histq.model import Interval, Market, Series, Token
from histq.pipeline.reports import Skipped
from histq.providers import Archive, Dated, Provider, providers
from histq.settings import Settings, SourceSettings

_SYMBOL: Final = re.compile(r"[A-Z0-9]{1,20}(/[A-Z0-9]{1,20})?")


class Shelf(NamedTuple):
    """An archive of a source's candles; with `only`, the source itself is not to be asked."""

    archive: Archive
    settings: SourceSettings
    only: bool = False


class Target(NamedTuple):
    """One series to fetch, and whom to ask for it."""

    provider: Provider
    settings: SourceSettings
    market: Market
    interval: Interval
    shelf: Shelf | None = None

    @property
    def series(self) -> Series:
        return Series(self.provider.name, self.market.symbol, self.interval.name)


class Selection(NamedTuple):
    targets: list[Target]
    skipped: list[Skipped]

    def dated(self) -> "Selection":
        """Without the sources that cannot tell their first candle. Raises Usage where none can."""
        able = [target for target in self.targets if _tells_dates(target)]
        unable = {_asked(target) for target in self.targets if not _tells_dates(target)}
        why = "cannot tell when a market was listed; name a date with --from"
        if not able:
            raise Usage(f"{', '.join(sorted(unable))} {why}")
        skipped = [Skipped(name, f"{name} {why}") for name in sorted(unable)]
        return Selection(able, [*self.skipped, *skipped])


def _tells_dates(target: Target) -> bool:
    only_files = target.shelf is not None and target.shelf.only
    return isinstance(target.provider, Dated) and not only_files


def _asked(target: Target) -> str:
    """The source that the target is asked of, as the user names it."""
    shelf = target.shelf
    return shelf.archive.name if shelf is not None and shelf.only else target.provider.name


def select(
    settings: Settings,
    symbols: Sequence[str] = (),
    sources: Sequence[str] = (),
    intervals: Sequence[str] = (),
    *,
    archives: bool = True,
) -> Selection:
    """The targets meant; nothing named means all tokens, all enabled sources, their intervals.

    An archive that is named is asked for all it has, and its source for nothing. One that is not
    helps its source out, unless `archives` is false.
    What a source that was named by the user lacks is an error (Usage, Credentials); what one of
    the others lacks is skipped. Raises Usage too when nothing is left.
    """
    asked = [Interval.parse(name) for name in intervals]
    wanted = [resolve(symbol, settings) for symbol in symbols]
    markets = [token for tokens in wanted for token in tokens] or [t.token for t in settings.tokens]
    chosen = _chosen(sources) or enabled(settings)
    if not chosen:
        raise Config("no source is enabled; set enabled = true in [sources.binance]")
    selection = Selection([], [])
    refusals: list[Usage | Credentials] = []
    for name in chosen:
        found = _source_targets(name, settings, list(dict.fromkeys(markets)), asked, archives)
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


def _chosen(sources: Sequence[str]) -> list[str]:
    """The sources named, without archives of sources that are named too."""
    found = providers()
    return [
        name
        for name in dict.fromkeys(sources)
        if getattr(found.get(name), "archive_of", None) not in sources
    ]


def enabled(settings: Settings) -> list[str]:
    """The sources that are asked where none is named; archives only help theirs out."""
    return [
        name
        for name, source in settings.sources.items()
        if source.enabled and not isinstance(providers()[name], Archive)
    ]


def lacks_key(name: str, settings: Settings) -> str:
    """Why the source serves nothing as it is set up; empty where it lacks no key."""
    return "" if settings.sources[name].key else providers()[name].key_hint


def shelf_of(provider: Provider, settings: Settings) -> Shelf | None:
    """The archive that says what the source says; None where there is none, or it is not enabled.

    A source at an address of its own is another market, unless its archive has one too.
    """
    host = urlsplit(settings.sources[provider.name].base_url).hostname
    for name, archive in providers().items():
        if isinstance(archive, Archive) and archive.archive_of == provider.name:
            its = settings.sources[name]
            moved = its.base_url != archive.defaults.base_url
            if its.enabled and (host in archive.same_hosts or moved):
                return Shelf(archive, its)
    return None


def _source_targets(
    name: str,
    settings: Settings,
    markets: list[Token | str],
    asked: list[Interval],
    archives: bool,
) -> Iterator[Target | Usage | Credentials]:
    source, provider = source_settings(settings, name), providers()[name]
    intervals = asked or [Interval(name) for name in source.intervals]
    shelf = shelf_of(provider, settings) if archives else None
    if isinstance(provider, Archive):
        shelf = Shelf(provider, source, only=True)
        source, provider = settings.sources[provider.archive_of], providers()[provider.archive_of]
    if provider.key_hint and not source.key:
        yield Credentials(f"{name}: {provider.key_hint}")
        return
    for interval in intervals:
        if interval.name not in provider.intervals:
            served = ", ".join(provider.intervals)
            yield Usage(f"{name} has no interval {interval.name}; it serves {served}")
            continue
        for wanted in markets:
            target = _target(provider, source, interval, wanted)
            yield target._replace(shelf=shelf) if isinstance(target, Target) else target


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
