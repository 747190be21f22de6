"""What doctor looks at in the sources: keys, whether they answer, and what time they have."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from histq.client import open_client
from histq.errors import HistqError
from histq.host import Clock
from histq.model import DAY_MS, Window, iso
from histq.pipeline.doctor import Check, Health, Probe
from histq.pipeline.targets import Selection, Target, select
from histq.providers import Ask
from histq.settings import Settings, plan_of
from histq.stop import Stop

TIMEOUT_S: Final = 10.0
WRONG_CLOCK_MS: Final = 5_000
"""The header that says the time has whole seconds, and an answer may take some."""


def key_probe(settings: Settings) -> Probe:
    """Which of the enabled sources have what they need."""

    def look() -> Iterator[Check]:
        selection = select(settings)
        yield from (
            Check(target.provider.name, Health.OK, "enabled, with all that it needs")
            for target in one_each(selection)
        )
        for name, why in {one.source: one.why for one in selection.skipped}.items():
            told = why.removeprefix(f"{name}: ")
            advice = f"or set enabled = false in [sources.{name}]"
            yield Check(name, Health.WARNING, told, advice)

    return "sources", look


def answer_probes(settings: Settings, state_folder: Path, stop: Stop, clock: Clock) -> list[Probe]:
    """One small request to each source that can be asked, within its budget."""

    def probe(target: Target) -> Probe:
        return (
            f"{target.provider.name} answers",
            lambda: _answers(target, state_folder, stop, clock),
        )

    try:
        return [probe(target) for target in one_each(select(settings))]
    except HistqError:
        return []  # nobody can be asked, as `key_probe` says


def one_each(selection: Selection) -> list[Target]:
    """The first market of every source."""
    return list({t.provider.name: t for t in reversed(selection.targets)}.values())[::-1]


def _answers(target: Target, state_folder: Path, stop: Stop, clock: Clock) -> Iterator[Check]:
    name = target.provider.name
    patience = {"timeout_s": min(TIMEOUT_S, target.settings.timeout_s)}
    settings = target.settings.model_copy(update=patience)
    client = open_client(target.provider, settings, state_folder, stop=stop, clock=clock)
    try:
        before = clock()
        said_at, after = client.answered_at(_ask(target, before)), clock()
    finally:
        client.close()
    yield Check(f"{name} answers", Health.OK, f"in {after - before:,} ms")
    off_ms = max(before - said_at, said_at - after, 0)
    if off_ms > WRONG_CLOCK_MS:
        yield Check(
            f"{name} clock",
            Health.WARNING,
            f"{name} has {iso(said_at // 1000 * 1000)}, this machine {iso(after // 1000 * 1000)}",
            "set the clock of this machine, and keep it right with NTP",
        )
    else:
        yield Check(f"{name} clock", Health.OK, "agrees with this machine's")


def _ask(target: Target, now: int) -> Ask:
    """For the last candle that is certain to be there."""
    interval = target.interval
    end = interval.floor(now - target.provider.publish_delay_ms(interval))
    # Without a grid there may be nothing in an hour, and CoinGecko wants more than a day.
    start = interval.floor(end - 1) if interval.gridded else end - 2 * DAY_MS
    plan = plan_of(target.settings)
    return Ask(target.series, target.market, interval, Window(start, end), plan, now)
