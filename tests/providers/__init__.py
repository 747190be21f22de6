"""Tests of the providers: one suite for what all of them promise, one file for each."""

from histq.model import Interval, Market, Series, Window
from histq.providers import Ask


def ask_for(
    source: str, market: Market, interval: str, window: Window, *, plan: str = "", now: int = 0
) -> Ask:
    """One page, as the pipeline asks for it."""
    series = Series(source, market.symbol, interval)
    return Ask(series, market, Interval(interval), window, plan, now)
