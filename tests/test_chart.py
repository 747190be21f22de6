"""A series as bins of time and cells of the calendar."""

from collections.abc import Sequence
from itertools import pairwise

import pytest

from histq.chart import (
    Blank,
    HeatMap,
    Look,
    adjoining,
    bins,
    blanks,
    heat_map,
    stretch,
)
from histq.errors import Usage
from histq.model import DAY_MS, HOUR_MS, MINUTE_MS, Interval, Series, Span, State, Window
from histq.stores import Bar

YEAR_2024 = 1_704_067_200_000  # a Monday
HOURLY = Series("binance", "BTCUSDT", "1h")
DAILY = HOURLY._replace(interval="1d")
MONTHLY = HOURLY._replace(interval="1M")
SPOT = Series("coingecko", "BTCUSD", "spot")


def span(start: float, end: float, state: State, seen: int = 0) -> Span:
    """From day to day of 2024."""
    return Span(round(YEAR_2024 + start * DAY_MS), round(YEAR_2024 + end * DAY_MS), state, seen)


def days(start: float, end: float) -> Window:
    return Window(round(YEAR_2024 + start * DAY_MS), round(YEAR_2024 + end * DAY_MS))


def bar(first: int, last: int) -> Bar:
    return Bar(first, last + 1, 2, first, last, 1.0, 1.0, 1.0, 1.0)


def looks(found: HeatMap) -> list[tuple[str, list[Look | None]]]:
    return [(row.label, [cell.look if cell else None for cell in row.cells]) for row in found.rows]


def test_all_that_is_known_is_drawn() -> None:
    spans = [span(0, 1, State.FAILED), span(3, 4, State.STORED)]

    assert stretch(HOURLY, spans, None, None) == days(0, 4)


def test_what_was_before_the_listing_is_left_out() -> None:
    spans = [
        span(0, 5, State.EMPTY, seen=2),
        span(5, 6, State.STORED),
        span(6, 7, State.EMPTY, seen=1),
        span(7, 9, State.EMPTY, seen=2),
    ]

    assert stretch(HOURLY, spans, None, None) == days(5, 7)


def test_a_series_that_is_empty_for_certain_is_drawn_as_such() -> None:
    assert stretch(HOURLY, [span(0, 5, State.EMPTY, seen=2)], None, None) == days(0, 5)


def test_bounds_narrow_what_is_drawn_and_never_widen_it() -> None:
    spans = [span(0, 10, State.STORED)]

    assert stretch(HOURLY, spans, *days(2, 3)) == days(2, 3)
    assert stretch(HOURLY, spans, *days(-5, 50)) == days(0, 10)


@pytest.mark.parametrize(
    ("spans", "told"),
    [
        pytest.param([], "nothing is known of binance/BTCUSDT/1h yet", id="empty"),
        pytest.param(
            [span(0, 2, State.STORED)], "known for 2024-01-01..2024-01-03 only", id="elsewhere"
        ),
    ],
)
def test_where_nothing_is_known_nothing_is_drawn(spans: Sequence[Span], told: str) -> None:
    with pytest.raises(Usage, match=told):
        stretch(HOURLY, spans, *days(20, 30))


def test_bins_are_whole_slots_and_leave_nothing_out() -> None:
    found = bins(Interval("1h"), days(0, 10), 100)

    assert len(found) == 100
    assert (found[0].start, found[-1].end) == days(0, 10)
    assert all(early.end == late.start for early, late in pairwise(found))
    assert {(one.end - one.start) / HOUR_MS for one in found} == {2, 3}


def test_there_is_no_bin_narrower_than_a_slot() -> None:
    found = bins(Interval("1M"), days(0, 91), 100)

    assert [(one.end - one.start) // DAY_MS for one in found] == [31, 29, 31]


def test_a_bound_between_two_slots_cuts_no_bin_of_its_own() -> None:
    start, end = days(0.5, 3)

    found = bins(Interval("1d"), Window(start, end), 100)

    assert found == [Window(start, days(2, 2).end), days(2, 3)]


def test_bins_of_a_series_without_a_grid_are_an_hour_at_least() -> None:
    found = bins(Interval("spot"), Window(MINUTE_MS, MINUTE_MS + 5 * HOUR_MS), 100)

    assert [one.start for one in found] == [MINUTE_MS + hour * HOUR_MS for hour in range(5)]


@pytest.mark.parametrize(
    ("interval", "last", "first", "expected"),
    [
        pytest.param("1h", 0, HOUR_MS, True, id="next slot"),
        pytest.param("1h", 0, 2 * HOUR_MS - 1, True, id="late in the next slot"),
        pytest.param("1h", 0, 2 * HOUR_MS, False, id="one slot missing"),
        pytest.param("1M", YEAR_2024, YEAR_2024 + 31 * DAY_MS, True, id="next month"),
        pytest.param("spot", 0, 2 * HOUR_MS, True, id="late observation"),
        pytest.param("spot", 0, 2 * HOUR_MS + 1, False, id="observations missing"),
    ],
)
def test_bars_adjoin_where_no_candle_is_missing(
    interval: str, last: int, first: int, expected: bool
) -> None:
    before, after = bar(last, last), bar(first, first)

    assert adjoining(Interval(interval), before, after) is expected


def test_blanks_are_holes_and_what_is_queued() -> None:
    spans = [
        span(0, 1, State.STORED),
        span(1, 2, State.FAILED),
        span(2, 3, State.EMPTY, seen=2),
        span(3, 4, State.QUEUED),
        span(5, 6, State.STORED),
        span(6, 7, State.DEAD),
    ]

    found = blanks(HOURLY, spans, days(1.5, 6))

    assert sorted(found, key=lambda one: one.start) == [
        Blank(*days(1, 2), Look.LACKING),
        Blank(*days(2, 3), Look.EMPTY),
        Blank(*days(3, 4), Look.QUEUED),
        Blank(*days(4, 5), Look.LACKING),
    ]
    assert [one.look is Look.LACKING for one in found] == [False, False, True, True]


def test_every_state_of_a_day_has_its_look() -> None:
    spans = [
        span(0, 1, State.STORED),
        span(1, 1.5, State.STORED),
        span(1.5, 2, State.EMPTY, seen=2),
        span(2, 2.5, State.QUEUED),
        span(2.5, 3, State.STORED),
        span(3, 3.5, State.FAILED),
        span(3.5, 4, State.STORED),
        span(4, 5, State.EMPTY, seen=2),
        span(5, 5.5, State.EMPTY, seen=2),
        span(5.5, 6, State.EMPTY, seen=1),
        span(20, 21, State.STORED),
    ]

    ((label, found),) = looks(heat_map(HOURLY, spans, days(0, 21)))

    assert label == "2024-01"
    assert found[:6] == [
        *(Look.COMPLETE, Look.HOLED, Look.QUEUED, Look.PARTIAL, Look.EMPTY, Look.LACKING)
    ]
    assert found[6:20] == [Look.LACKING] * 14
    assert found[20:] == [Look.COMPLETE, *[None] * 10]


def test_a_row_tells_the_share_of_what_is_wanted() -> None:
    spans = [
        span(0, 6, State.STORED),
        span(6, 8, State.EMPTY, seen=2),
        span(8, 9, State.QUEUED),
        span(9, 17, State.FAILED),
    ]

    (row,) = heat_map(HOURLY, spans, days(0, 17)).rows

    assert row.share == 7 / 15


def test_a_row_that_wants_nothing_has_no_share() -> None:
    (row,) = heat_map(HOURLY, [span(0, 17, State.EMPTY, seen=2)], days(0, 17)).rows

    assert row.share is None


@pytest.mark.parametrize(
    ("series", "until", "row", "column", "labels"),
    [
        (HOURLY, 2, "day", "hour", ["2024-01-01", "2024-01-02"]),
        (HOURLY, 33, "month", "day", ["2024-01", "2024-02"]),
        (DAILY, 2, "month", "day", ["2024-01"]),
        (HOURLY, 800, "year", "week", ["2024", "2025", "2026"]),
        (HOURLY._replace(interval="1w"), 21, "year", "week", ["2024"]),
        (MONTHLY, 366, "year", "month", ["2024"]),
        (SPOT, 2, "day", "hour", ["2024-01-01", "2024-01-02"]),
    ],
)
def test_the_calendar_suits_span_and_interval(
    series: Series, until: int, row: str, column: str, labels: list[str]
) -> None:
    found = heat_map(series, [span(0, until, State.STORED)], days(0, until))

    assert (found.row, found.column) == (row, column)
    assert [one.label for one in found.rows] == labels


def test_a_week_over_new_year_is_a_cell_in_both_years() -> None:
    found = heat_map(DAILY, [span(-365, 800, State.STORED)], days(-365, 800))

    # 2023 began on a Sunday, 2024 on a Monday, 2025 on a Wednesday.
    rows = {row.label: row.cells for row in found.rows}
    assert [
        sum(cell.slots for cell in rows[year] if cell) for year in ("2023", "2024", "2025")
    ] == [*(365, 366, 365)]
    assert [cells[0].slots if cells[0] else 0 for cells in rows.values()] == [1, 0, 5, 4]
    assert rows["2024"][53] is not None
    assert rows["2024"][53].slots == 2


def test_a_cell_at_the_edge_counts_only_what_is_drawn() -> None:
    found = heat_map(HOURLY, [span(0, 40, State.STORED)], days(0.5, 39.25))

    cells = [cell for row in found.rows for cell in row.cells if cell]
    assert (cells[0].slots, cells[1].slots, cells[-1].slots) == (12, 24, 6)
