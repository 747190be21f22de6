"""A page of candles as one flat list of numbers: pack, unpack, screen, and drop repeats. Pure.

Flat means `WIDTH` numbers a candle, one candle after the other, in the order of `FIELDS`. A column
is then a slice (`flat[0::WIDTH]`), rows bind to a statement without a tuple each, and the common
page, in which nothing is wrong, is screened by a few passes that run in C.
"""

import base64
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, pairwise
from operator import ge, lt
from typing import NamedTuple

import msgspec
from msgspec.structs import asdict, astuple

from histq.errors import Poison
from histq.model import DAY_MS, FIELDS, WIDTH, Candle

Number = int | float | None
Flat = list[Number]

# A candle that opens later than this after "now" is from the future. A day, because our clock may
# be an hour off while the candle is right; microseconds as milliseconds are off by millennia.
FUTURE_SLACK_MS = DAY_MS

MOST = 2**63 - 1
"""The largest whole number that a database holds."""

_VERSION = 1
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, Flat]).decode
_WHOLE = ("timestamp", "trades", "close_time")
_PRICES = ("low", "open", "close", "high")
_ORDER = (("high", "low"), ("high", "open"), ("high", "close"), ("open", "low"), ("close", "low"))


class Fault(NamedTuple):
    """A candle that must not be stored, and why."""

    candle: Candle
    why: str


def flatten(candles: Iterable[Candle]) -> Flat:
    return list(chain.from_iterable(map(astuple, candles)))


def rows(flat: Flat) -> list[Candle]:
    return [Candle(*flat[i : i + WIDTH]) for i in range(0, len(flat), WIDTH)]  # type: ignore[arg-type]


def timestamps(flat: Flat) -> list[int]:
    return flat[0::WIDTH]  # type: ignore[return-value]


def pack(flat: Flat) -> bytes:
    return _encode((_VERSION, flat))


def unpack(body: bytes) -> Flat:
    """The flat page. Raises Poison for bytes that are none."""
    try:
        version, flat = _decode(body)
    except msgspec.DecodeError as error:
        raise Poison(f"message body does not unpack: {error}") from error
    if version != _VERSION:
        raise Poison(f"message body has codec {version}, this histq reads {_VERSION}")
    if len(flat) % WIDTH:
        raise Poison(f"message body has {len(flat)} numbers, no multiple of {WIDTH}")
    return flat


def as_json(body: bytes) -> str:
    """The page as JSON text that a person can read and `from_json` can pack again.

    JSON has no NaN and no infinity: they stand as strings. Bytes that are no page are in base64.
    """
    try:
        candles = rows(unpack(body))
    except Poison:
        return json.dumps({"packed": base64.b64encode(body).decode()})
    return json.dumps({"candles": [_readable(candle) for candle in candles]})


def _readable(candle: Candle) -> dict[str, Number | str]:
    return {
        name: value if value is None or math.isfinite(value) else str(value)
        for name, value in asdict(candle).items()
    }


def from_json(text: str) -> bytes:
    """The packed body that `as_json` showed, edited or not. Raises Poison for any other text."""
    try:
        shown = json.loads(text)
        if "packed" in shown:
            return base64.b64decode(shown["packed"], validate=True)
        flat = [_number(candle.get(name)) for candle in shown["candles"] for name in FIELDS]
        body = pack(flat)
        unpack(body)
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise Poison(f"letter holds no candles: {error}") from error
    return body


def _number(value: int | float | str | None) -> Number:
    return float(value) if isinstance(value, str) else value


def fault(candle: Candle, now: int) -> str | None:
    """Why this candle must not be stored, or None. Off the grid or without trades is no fault."""
    if type(candle.timestamp) is not int or candle.timestamp < 0:
        return "open time is no instant"
    if candle.timestamp > now + FUTURE_SLACK_MS:
        return "open time is in the future"
    if candle.close is None:
        return "no close"
    for name, value in asdict(candle).items():
        if value is not None and not math.isfinite(value):
            return f"{name} is not finite"
        if value is not None and value < 0:
            return f"{name} is negative"
    if any(type(value) is int and value > MOST for value in astuple(candle)):
        return "a number is larger than a table can hold"
    if not all(type(value) in (int, type(None)) for value in (candle.trades, candle.close_time)):
        return "trades or close time is no whole number"
    if candle.high is not None and candle.low is not None and candle.high < candle.low:
        return "high is below low"
    for name, value in (("open", candle.open), ("close", candle.close)):
        if value is None:
            continue
        if candle.high is not None and value > candle.high:
            return f"{name} is above high"
        if candle.low is not None and value < candle.low:
            return f"{name} is below low"
    return None


def screen(flat: Flat, now: int) -> tuple[Flat, list[Fault]]:
    """The page without its bad candles, and those; the very page where it is sound and in order."""
    if _sound(flat, now):
        return flat, []
    good: Flat = []
    bad: list[Fault] = []
    for i in range(0, len(flat), WIDTH):
        row = flat[i : i + WIDTH]
        candle = Candle(*row)  # type: ignore[arg-type]
        why = fault(candle, now)
        if why is None:
            good += row
        else:
            bad.append(Fault(candle, why))
    return good, bad


def _sound(flat: Flat, now: int) -> bool:
    """Whether `fault` finds nothing in any candle, and open times rise; no when in doubt."""
    columns: dict[str, Sequence[float]] = {}
    for place, name in enumerate(FIELDS):
        column = flat[place::WIDTH]
        try:
            total = sum(column)  # type: ignore[arg-type]
        except TypeError:  # a None: harmless where there is nothing else
            if column.count(None) != len(column):
                return False
            continue
        # A NaN or an infinity in a column makes the sum one, and neither lies in this range.
        if not 0 <= total <= MOST or (name in _WHOLE and type(total) is not int):
            return False
        columns[name] = column  # type: ignore[assignment]
    if not flat:
        return True
    if "timestamp" not in columns or "close" not in columns or not ascending(flat):
        return False
    times = columns.pop("timestamp")
    return times[0] >= 0 and times[-1] <= now + FUTURE_SLACK_MS and _in_bounds(columns)


def _in_bounds(columns: Mapping[str, Sequence[float]]) -> bool:
    """Whether nothing is negative and low <= open, close <= high in every row, where known."""
    if not all(name in columns for name in _PRICES):
        ordered = all(
            all(map(ge, columns[upper], columns[lower]))
            for upper, lower in _ORDER
            if upper in columns and lower in columns
        )
        return ordered and all(min(column) >= 0 for column in columns.values())
    # The interpreter makes such a loop one over floats: 53 ns a row, where five `map`s take 137.
    for low, opened, closed, high in zip(*(columns[name] for name in _PRICES), strict=True):
        if not (0.0 <= low <= opened <= high and low <= closed <= high):
            return False
    return all(min(column) >= 0 for name, column in columns.items() if name not in _PRICES)


def ascending(flat: Flat) -> bool:
    """Whether open times strictly rise; not so where one is no whole number."""
    times = timestamps(flat)
    try:
        return type(sum(times)) is int and all(map(lt, times, times[1:]))
    except TypeError:
        return False


def distinct(
    pages: Sequence[Flat], *, rising: bool = False
) -> tuple[list[Flat], list[tuple[Candle, Candle]], int]:
    """The pages of one series without repeats: the first to say a timestamp keeps it.

    `rising` when the open times of each page are known to rise.
    Returns the pages in their order (shorter, or empty, where they repeat), the repeats that say
    something else as (kept, later), and how many candles were dropped.
    """
    if (rising or all(map(ascending, pages))) and _disjoint(pages):
        return list(pages), [], 0
    kept: dict[int, Candle] = {}
    differing: list[tuple[Candle, Candle]] = []
    dropped = 0
    thinned: list[Flat] = []
    for page in pages:
        own: list[Candle] = []
        for candle in rows(page):
            first = kept.setdefault(candle.timestamp, candle)
            if first is candle:
                own.append(candle)
                continue
            dropped += 1
            if contradicts(first, candle):
                differing.append((first, candle))
        thinned.append(flatten(sorted(own, key=lambda candle: candle.timestamp)))
    return thinned, differing, dropped


def _disjoint(pages: Sequence[Flat]) -> bool:
    reaches = sorted((page[0], page[-WIDTH]) for page in pages if page)
    return all(before[1] < after[0] for before, after in pairwise(reaches))  # type: ignore[operator]


def contradicts(first: Candle, later: Candle) -> bool:
    """Whether `later` says a value that `first` does not. Silence (None) contradicts nothing."""
    return bool(changed(first, later))


def changed(first: Candle, later: Candle) -> dict[str, tuple[Number, Number]]:
    """Where `later` says another value, as (first, later). Equal means equal doubles."""
    pairs = zip(FIELDS, astuple(first), astuple(later), strict=True)
    return {name: (old, new) for name, old, new in pairs if new is not None and _differ(old, new)}


def _differ(old: Number, new: Number) -> bool:
    return old is None or new is None or float(old) != float(new)
