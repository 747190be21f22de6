"""Ticks of a chart's axes, and prices as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histq.cli.axes import Range, price, price_ticks, time_ticks
from histq.model import DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, Window

YEAR_2024 = 1_704_067_200_000  # a Monday


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (97_000.0, "97,000"),
        (70_215.19, "70,215.19"),
        (0.00004668, "0.00004668"),
        (1.0, "1"),
        (0.0, "0"),
        (27_412.123456789012, "27,412.12346"),
        (3e-13, "0.0000000000003"),
        (2.58242e-18, "2.58242e-18"),
        (1e300, "1e+300"),
    ],
)
def test_a_price_is_written_as_people_write_it(value: float, expected: str) -> None:
    assert price(value) == expected


@pytest.mark.parametrize(
    ("low", "high", "most", "labels"),
    [
        (66_798.0, 109_588.0, 5, ["70,000", "80,000", "90,000", "100,000"]),
        (0.00003306, 0.00004972, 5, ["0.000035", "0.000040", "0.000045"]),
        (0.0, 10.0, 4, ["0.0", "2.5", "5.0", "7.5", "10.0"]),
        (99.98, 100.02, 2, ["99.98", "100.00", "100.02"]),
        (1e9, 3e9, 2, ["1,000,000,000", "2,000,000,000", "3,000,000,000"]),
        (1e20, 3e20, 2, ["1e+20", "2e+20", "3e+20"]),
    ],
)
def test_prices_at_the_axis_are_round(
    low: float, high: float, most: int, labels: list[str]
) -> None:
    ticks = price_ticks(Range.of(low, high), most)

    assert [tick.label for tick in ticks] == labels


@pytest.mark.parametrize(
    ("level", "expected"),
    [(100.0, Range(99.0, 101.0)), (0.0, Range(-1.0, 1.0))],
)
def test_a_flat_price_has_room_around_it(level: float, expected: Range) -> None:
    assert Range.of(level, level) == expected


@given(
    st.floats(min_value=1e-12, max_value=1e12),
    st.floats(min_value=1, max_value=1e6),
    st.integers(min_value=2, max_value=20),
)
def test_ticks_lie_within_the_range_and_are_not_too_many(
    low: float, times: float, most: int
) -> None:
    span = Range.of(low, low * times)

    ticks = price_ticks(span, most)

    room = (span.high - span.low) * 1e-9
    assert 1 <= len(ticks) <= most + 1
    assert all(span.low - room <= tick.at <= span.high + room for tick in ticks)
    assert len({tick.label for tick in ticks}) == len(ticks)


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (8 * SECOND_MS, ["2024-01-01", "00:00:05"]),
        (90 * MINUTE_MS, ["2024-01-01", "00:30", "01:00"]),
        (DAY_MS, ["2024-01-01", "12:00"]),
        (9 * DAY_MS, ["2024-01-01", "2024-01-08"]),
        (100 * DAY_MS, ["2024-01", "2024-02", "2024-03", "2024-04"]),
        (700 * DAY_MS, ["2024-01", "2024-07", "2025-01", "2025-07"]),
        (4000 * DAY_MS, ["2024", "2026", "2028", "2030", "2032", "2034"]),
    ],
)
def test_instants_at_the_axis_are_round(length: int, expected: list[str]) -> None:
    found = time_ticks(Window(YEAR_2024, YEAR_2024 + length), 40)

    assert [tick.label for tick in found] == expected


def test_weeks_are_told_by_their_mondays() -> None:
    start = YEAR_2024 + 2 * DAY_MS + 5 * HOUR_MS

    found = time_ticks(Window(start, start + 20 * DAY_MS), 40)

    assert [tick.label for tick in found] == ["2024-01-08", "2024-01-15", "2024-01-22"]
    assert found[0].at == YEAR_2024 + 7 * DAY_MS


def test_centuries_find_a_step_too() -> None:
    found = time_ticks(Window(0, 200_000 * DAY_MS), 40)

    assert [tick.label for tick in found[:3]] == ["2000", "2050", "2100"]
