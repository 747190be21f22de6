"""Dates as users write them. Always UTC."""

import datetime
import re

from histq.errors import Usage
from histq.model import DAY_MS, HOUR_MS, MINUTE_MS, WEEK_MS

_UNITS = {"m": MINUTE_MS, "h": HOUR_MS, "d": DAY_MS, "w": WEEK_MS}


def instant(text: str, now: int, option: str) -> int:
    """The instant in ms: `now`, `30d` ago (m, h, d, w), a date, or a time with or without a zone.

    A time without a zone is UTC. Raises Usage, which names `option`.
    """
    if text == "now":
        return now
    if ago := re.fullmatch(r"(\d{1,6})([mhdw])", text):
        return now - int(ago[1]) * _UNITS[ago[2]]
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise Usage(
            f"{option} {text!r} is no date; write 2024-01-01, 2024-01-01T12:00Z, 30d or now"
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return round(moment.timestamp() * 1000)


_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "": 1}


def duration_s(text: str, option: str, least_s: float) -> float:
    """`2s`, `500ms`, `1.5m`, `1h`, or seconds without a unit. Raises Usage, naming `option`."""
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?)(ms|s|m|h|)", text)
    if found is None:
        raise Usage(f"{option} {text!r} is no duration; write 2s, 500ms or 1m")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds < least_s:
        raise Usage(f"{option} {text} is too short; at least {least_s:g}s")
    return seconds


LISTING = "listing"
"""As --from: the first candle there is."""


def span(
    since: str | None, until: str | None, now: int, names: tuple[str, str] = ("--from", "--to")
) -> tuple[int | None, int | None]:
    """Both ends as instants, None where nothing was said. Raises Usage for an empty span.

    `names` is what the two are called where the user wrote them.
    """
    from_, to = names
    start = None if since in (None, LISTING) else instant(since, now, from_)
    end = None if until is None else instant(until, now, to)
    if start is not None and start > now:
        raise Usage(f"{from_} {since} is in the future; there are no prices yet")
    if start is not None and end is not None and start >= end:
        raise Usage(f"{from_} {since} is not before {to} {until}")
    if start is not None and start < 0:
        raise Usage(f"{from_} {since} is before 1970; there are no prices")
    return start, end
