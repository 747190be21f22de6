"""Intervals and their grids, and how instants, windows and series are written."""

import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histq.errors import Usage
from histq.model import HOUR_MS, Interval, Series, Window, iso

HOUR = 3_600_000
DAY = 24 * HOUR
LENGTHS = {
    "1s": 1000,
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "30m": 1_800_000,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
    "1w": 7 * DAY,
}
EVERY = [*LENGTHS, "1M", "spot"]

every_interval = st.sampled_from(EVERY).map(Interval)
instants = st.integers(0, 4_000_000_000_000)


def at(text: str) -> int:
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
    return round(moment.timestamp() * 1000)


@pytest.mark.parametrize("name", EVERY)
def test_an_interval_is_found_by_its_name(name: str) -> None:
    assert Interval.parse(name).name == name


@pytest.mark.parametrize("name", ["", "1", "2m", "1H", "1D", "1W", "1mo", "hour", "-1h", " 1h"])
def test_no_other_name_is_an_interval(name: str) -> None:
    with pytest.raises(Usage, match="no interval"):
        Interval.parse(name)


def test_case_tells_minutes_from_months() -> None:
    assert Interval.parse("1m") != Interval.parse("1M")


@pytest.mark.parametrize(("name", "length"), LENGTHS.items())
def test_an_interval_is_as_long_as_it_says(name: str, length: int) -> None:
    assert Interval(name).step_ms == length


@pytest.mark.parametrize("name", EVERY)
def test_all_but_spot_have_a_grid(name: str) -> None:
    assert Interval(name).gridded is (name != "spot")


@pytest.mark.parametrize(
    ("name", "instant", "floor", "ceil", "following"),
    [
        ("1s", "2024-01-01T00:00:00.001", "2024-01-01", "2024-01-01T00:00:01", None),
        ("15m", "2024-01-01T00:44:59.999", "2024-01-01T00:30", "2024-01-01T00:45", None),
        ("1h", "2024-01-01T05:00", "2024-01-01T05:00", "2024-01-01T05:00", "2024-01-01T06:00"),
        ("4h", "2024-01-01T07:59", "2024-01-01T04:00", "2024-01-01T08:00", None),
        ("1d", "2024-02-29T12:00", "2024-02-29", "2024-03-01", None),
        ("3d", "1970-01-05", "1970-01-04", "1970-01-07", None),
        ("1w", "2024-01-01", "2024-01-01", "2024-01-01", "2024-01-08"),
        ("1w", "2023-12-31T23:59:59.999", "2023-12-25", "2024-01-01", None),
        ("1w", "1970-01-01", "1969-12-29", "1970-01-05", None),
        ("1M", "2024-02-29T23:00", "2024-02-01", "2024-03-01", None),
        ("1M", "2023-12-31", "2023-12-01", "2024-01-01", None),
        ("1M", "2024-12-01", "2024-12-01", "2024-12-01", "2025-01-01"),
        ("spot", "2024-01-01T05:59", "2024-01-01T05:00", "2024-01-01T06:00", None),
    ],
    ids=lambda value: str(value),
)
def test_an_instant_lies_in_a_slot(
    name: str, instant: str, floor: str, ceil: str, following: str | None
) -> None:
    interval = Interval(name)

    assert interval.floor(at(instant)) == at(floor)
    assert interval.ceil(at(instant)) == at(ceil)
    assert interval.next(at(instant)) == at(following or ceil)


@pytest.mark.parametrize(
    ("name", "slots", "expected"),
    [
        ("1h", 24, "2024-02-01"),
        ("1w", 2, "2024-02-12"),
        ("1M", 1, "2024-02-01"),
        ("1M", 2, "2024-03-01"),
        ("1M", 12, "2025-01-01"),
    ],
)
def test_next_goes_so_many_slots_ahead(name: str, slots: int, expected: str) -> None:
    assert Interval(name).next(at("2024-01-31"), slots) == at(expected)


@pytest.mark.parametrize(
    ("name", "opens", "closes"),
    [
        ("1m", "2024-01-01", "2024-01-01T00:00:59.999"),
        ("1h", "2024-01-01T05:00", "2024-01-01T05:59:59.999"),
        ("1w", "2024-01-01", "2024-01-07T23:59:59.999"),
        ("1M", "2024-02-01", "2024-02-29T23:59:59.999"),
        ("1M", "2023-12-01", "2023-12-31T23:59:59.999"),
        ("1h", "2018-02-09T09:28:14.789", "2018-02-09T10:28:14.788"),
    ],
)
def test_a_candle_closes_a_ms_before_the_next_opens(name: str, opens: str, closes: str) -> None:
    assert Interval(name).close_time(at(opens)) == at(closes)


@pytest.mark.parametrize(
    ("name", "start", "end", "slots"),
    [
        ("1h", "2024-01-01", "2024-01-02", 24),
        ("1h", "2024-01-01T00:30", "2024-01-01T01:00", 0),
        ("1h", "2024-01-01T00:30", "2024-01-01T01:01", 1),
        ("1h", "2024-01-01", "2024-01-01T00:00:00.001", 1),
        ("1h", "2024-01-02", "2024-01-01", 0),
        ("1h", "2024-01-01", "2024-01-01", 0),
        ("1w", "2024-01-01", "2024-01-29", 4),
        ("1w", "2024-01-02", "2024-01-08", 0),
        ("1M", "2024-01-01", "2025-01-01", 12),
        ("1M", "2024-01-15", "2024-03-15", 2),
        ("1M", "2024-01-02", "2024-01-31", 0),
    ],
)
def test_slots_counts_open_times(name: str, start: str, end: str, slots: int) -> None:
    assert Interval(name).slots(at(start), at(end)) == slots


@pytest.mark.parametrize(
    ("name", "hours", "expected"),
    [
        pytest.param("1h", [5], True, id="one"),
        pytest.param("1h", [5, 6, 7], True, id="three"),
        pytest.param("1h", [5.25, 6.25], True, id="off the grid"),
        pytest.param("1h", [5, 6, 8], False, id="one left out"),
        pytest.param("1h", [5, 5.5, 7], False, id="one out of step"),
        pytest.param("1h", [5, 5, 7], False, id="one twice"),
        pytest.param("1h", [7, 6, 5], False, id="backwards"),
        pytest.param("4h", [4, 8], True, id="four hours"),
        pytest.param("4h", [4, 5], False, id="too close"),
        pytest.param("1M", [0, 31 * 24], False, id="months"),
        pytest.param("1h", [], False, id="none"),
    ],
)
def test_in_a_row_is_one_length_after_the_other(
    name: str, hours: list[float], expected: bool
) -> None:
    assert Interval(name).in_a_row([round(hour * HOUR_MS) for hour in hours]) is expected


@settings(deadline=None)
@given(
    interval=every_interval,
    start=instants,
    steps=st.lists(st.sampled_from([1, 1, 1, 2, 0.5]), max_size=4),
    on_grid=st.booleans(),
)
def test_the_grid_holds_open_times_alone(
    interval: Interval, start: int, steps: list[float], on_grid: bool
) -> None:
    times = [interval.floor(start) if on_grid else start]
    for step in steps:
        times.append(times[-1] + round(step * interval.step_ms))

    expected = not interval.gridded or all(time == interval.floor(time) for time in times)
    assert interval.holds(times) is expected


@settings(deadline=None)
@given(interval=every_interval, instant=instants)
def test_a_slot_holds_its_instants(interval: Interval, instant: int) -> None:
    floor = interval.floor(instant)

    assert floor <= instant < interval.next(floor)
    assert interval.floor(floor) == floor
    assert interval.floor(interval.next(floor) - 1) == floor
    assert interval.next(floor) - floor <= interval.step_ms


@settings(deadline=None)
@given(interval=every_interval, instant=instants)
def test_ceil_is_the_first_open_time_not_before(interval: Interval, instant: int) -> None:
    ceil = interval.ceil(instant)

    assert interval.floor(ceil) == ceil
    assert ceil >= instant
    assert interval.floor(ceil - 1) < instant


@settings(deadline=None)
@given(interval=every_interval, instant=instants, slots=st.integers(0, 30))
def test_next_by_many_is_next_again_and_again(interval: Interval, instant: int, slots: int) -> None:
    expected = interval.floor(instant)
    for _ in range(slots):
        expected = interval.next(expected)

    assert interval.next(instant, slots) == expected
    assert interval.slots(interval.floor(instant), expected) == slots


@settings(deadline=None)
@given(interval=every_interval, instant=instants)
def test_a_candle_on_the_grid_closes_when_its_slot_ends(interval: Interval, instant: int) -> None:
    floor = interval.floor(instant)

    assert interval.close_time(floor) + 1 == interval.next(floor)


@settings(deadline=None)
@given(interval=every_interval, start=instants, steps=st.lists(st.floats(0, 9), max_size=3))
def test_slots_of_parts_add_up(interval: Interval, start: int, steps: list[float]) -> None:
    cuts = [start]
    for step in steps:
        cuts.append(cuts[-1] + round(step * interval.step_ms))

    parts = sum(interval.slots(a, b) for a, b in pairwise(cuts))

    assert parts == interval.slots(cuts[0], cuts[-1])


@settings(deadline=None)
@given(interval=every_interval, start=instants, reach=st.floats(0, 12))
def test_slots_agrees_with_walking_the_grid(interval: Interval, start: int, reach: float) -> None:
    end = start + round(reach * interval.step_ms)
    walked = 0
    open_time = interval.ceil(start)
    while open_time < end:
        walked += 1
        open_time = interval.next(open_time)

    assert interval.slots(start, end) == walked


@settings(deadline=None)
@given(instant=instants)
def test_weeks_begin_on_monday(instant: int) -> None:
    day = datetime.datetime.fromtimestamp(Interval("1w").floor(instant) / 1000, datetime.UTC)

    assert day.weekday() == 0
    assert day.time() == datetime.time()


@settings(deadline=None)
@given(instant=instants)
def test_months_are_those_of_the_calendar(instant: int) -> None:
    moment = datetime.datetime.fromtimestamp(instant // 1000, datetime.UTC)
    first = moment.replace(day=1, hour=0, minute=0, second=0)

    assert Interval("1M").floor(instant) == first.timestamp() * 1000


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        pytest.param(0, "1970-01-01", id="the epoch"),
        pytest.param(1_704_067_200_000, "2024-01-01", id="a day"),
        pytest.param(1_704_110_400_000, "2024-01-01T12:00Z", id="an hour"),
        pytest.param(1_704_110_460_000, "2024-01-01T12:01Z", id="a minute"),
        pytest.param(1_704_110_401_000, "2024-01-01T12:00:01Z", id="a second"),
        pytest.param(1_704_110_400_001, "2024-01-01T12:00:00.001Z", id="a millisecond"),
        pytest.param(-1, "1969-12-31T23:59:59.999Z", id="before the epoch"),
        pytest.param(10**18, "1000000000000000000 ms", id="past every calendar"),
    ],
)
def test_an_instant_is_written_as_short_as_it_is_exact(instant: int, text: str) -> None:
    assert iso(instant) == text


@settings(deadline=None)
@given(instant=instants)
def test_what_is_written_reads_as_the_same_instant(instant: int) -> None:
    assert at(iso(instant).removesuffix("Z")) == instant


def test_series_and_windows_are_written_for_people() -> None:
    assert str(Series("binance", "BTCUSDT", "1h")) == "binance/BTCUSDT/1h"
    assert str(Window(0, 1_704_110_400_000)) == "1970-01-01..2024-01-01T12:00Z"
