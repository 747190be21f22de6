"""The algebra of spans, against worked examples and a table of every instant."""

import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histq.ledger import BETWEEN, answered, covered, emptied, merge, overlay, unheld
from histq.model import DAY_MS, HOUR_MS, Interval, Span, State, Window

NOW = 1_700_000_000_000
CONFIRM = HOUR_MS
HOURLY = Interval("1h")
MONTHLY = Interval("1M")
SPOT = Interval("spot")

EMPTY, QUEUED, STORED, FAILED = State.EMPTY, State.QUEUED, State.STORED, State.FAILED


def hours(start: float, end: float) -> Window:
    return Window(round(start * HOUR_MS), round(end * HOUR_MS))


def times(*found: float) -> list[int]:
    return [round(hour * HOUR_MS) for hour in found]


def month(number: int, day: int = 1) -> int:
    moment = datetime.datetime(2023, number, day, tzinfo=datetime.UTC)
    return round(moment.timestamp() * 1000)


def by_instant(spans: list[Span]) -> dict[int, tuple[object, ...]]:
    return {t: span[2:] for span in spans for t in range(span.start, span.end)}


facts = st.tuples(st.sampled_from([QUEUED, STORED, EMPTY]), st.integers(0, 1))
ledgers = st.lists(st.none() | facts, max_size=25).map(
    lambda cells: merge(Span(t, t + 1, *cell) for t, cell in enumerate(cells) if cell is not None)
)
any_span = st.builds(
    lambda start, end, fact: Span(start, end, *fact),
    st.integers(-3, 30),
    st.integers(-3, 30),
    facts,
)


@settings(deadline=None)
@given(known=ledgers, news=st.lists(any_span, max_size=5))
def test_overlay_agrees_with_a_table_of_every_instant(known: list[Span], news: list[Span]) -> None:
    expected = by_instant(known)
    for span in news:
        expected.update(by_instant([span]))

    found = overlay(known, news)

    assert by_instant(found) == expected
    assert all(span.start < span.end for span in found)
    assert all(before.end <= after.start for before, after in pairwise(found))
    assert not any(a.end == b.start and a[2:] == b[2:] for a, b in pairwise(found))


def test_what_falls_into_a_span_cuts_it_in_three() -> None:
    found = overlay([Span(0, 9, QUEUED)], [Span(3, 5, STORED)])

    assert found == [Span(0, 3, QUEUED), Span(3, 5, STORED), Span(5, 9, QUEUED)]


def test_the_later_of_two_spans_wins() -> None:
    assert overlay([], [Span(0, 9, QUEUED), Span(3, 12, STORED)]) == [
        Span(0, 3, QUEUED),
        Span(3, 12, STORED),
    ]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Span(5, 9, STORED), id="state"),
        pytest.param(Span(5, 9, EMPTY, 2, 7, "why"), id="seen"),
        pytest.param(Span(5, 9, EMPTY, 1, 8, "why"), id="asked_at"),
        pytest.param(Span(5, 9, EMPTY, 1, 7, "because"), id="reason"),
        pytest.param(Span(6, 9, EMPTY, 1, 7, "why"), id="a gap between"),
    ],
)
def test_spans_that_differ_in_anything_stay_apart(other: Span) -> None:
    first = Span(0, 5, EMPTY, 1, 7, "why")

    assert merge([other, first]) == [first, other]


def test_spans_that_touch_and_say_the_same_become_one() -> None:
    assert merge([Span(5, 9, EMPTY, 1, 7), Span(0, 5, EMPTY, 1, 7)]) == [Span(0, 9, EMPTY, 1, 7)]


@pytest.mark.parametrize(
    ("window", "found", "expected"),
    [
        pytest.param(hours(0, 6), times(0, 1, 2, 3, 4, 5), [hours(0, 6)], id="all"),
        pytest.param(hours(0, 6), times(2), [hours(2, 3)], id="one"),
        pytest.param(hours(0, 6), times(1, 2), [hours(1, 3)], id="two in a row"),
        pytest.param(
            hours(0, 9), times(1, 2, 5, 8), [hours(1, 3), hours(5, 6), hours(8, 9)], id="holes"
        ),
        pytest.param(
            hours(0, 9), times(1, 3, 5), [hours(1, 2), hours(3, 4), hours(5, 6)], id="every other"
        ),
        pytest.param(
            hours(0, 24), times(9.47, 10.47, 11.47), [hours(9, 12)], id="off the grid in a row"
        ),
        pytest.param(
            hours(0, 24), times(8, 9.47, 10.47), [hours(8, 11)], id="on, then off the grid"
        ),
        pytest.param(
            hours(0, 24), times(8, 10.47), [hours(8, 9), hours(10, 11)], id="a hole, then off"
        ),
        pytest.param(hours(0, 24), times(8, 8.5, 9), [hours(8, 10)], id="two in one slot"),
        pytest.param(hours(0.5, 3), times(1), [hours(0.5, 2)], id="the window begins off the grid"),
        pytest.param(hours(0.5, 4), times(2), [hours(2, 3)], id="begins off, with a slot before"),
        pytest.param(hours(0.5, 3), times(0.75), [hours(0.5, 1)], id="a candle in the first bit"),
        pytest.param(hours(0, 2.5), times(2), [hours(2, 2.5)], id="the window ends off the grid"),
        pytest.param(hours(0, 2.5), times(1), [hours(1, 2)], id="ends off, with a slot after"),
        pytest.param(hours(0.5, 1.5), times(1), [hours(0.5, 1.5)], id="both ends off the grid"),
    ],
)
def test_covered_are_the_slots_with_candles(
    window: Window, found: list[int], expected: list[Window]
) -> None:
    assert covered(window, found, HOURLY) == expected


@settings(deadline=None)
@given(found=st.lists(st.integers(0, 59), min_size=1, max_size=12, unique=True).map(sorted))
def test_covered_agrees_with_a_look_at_every_slot(found: list[int]) -> None:
    # An instant is a tenth of an hour, so that most candles are off the grid.
    runs = covered(hours(0, 6), times(*(tenth / 10 for tenth in found)), HOURLY)

    slots = [slot for run in runs for slot in range(run.start, run.end, HOUR_MS)]
    assert slots == [slot * HOUR_MS for slot in sorted({tenth // 10 for tenth in found})]
    assert all(before.end < after.start for before, after in pairwise(runs))


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param([1, 2, 3, 4], [(1, 5)], id="in a row"),
        pytest.param([1, 2, 5], [(1, 3), (5, 6)], id="a hole"),
        pytest.param([7, 8], [(7, 9)], id="two of 31 days"),
    ],
)
def test_covered_months_are_those_of_the_calendar(
    found: list[int], expected: list[tuple[int, int]]
) -> None:
    window = Window(month(1), month(12))

    runs = covered(window, [month(number) for number in found], MONTHLY)

    assert runs == [Window(month(start), month(end)) for start, end in expected]


def test_a_month_without_a_candle_is_not_covered_by_two_31_days_apart() -> None:
    window = Window(month(1), month(12))

    runs = covered(window, [month(1, 31), month(3, 3)], MONTHLY)

    assert runs == [Window(month(1), month(2)), Window(month(3), month(4))]


def test_without_a_grid_the_whole_window_is_covered() -> None:
    assert covered(hours(0.1, 30.3), times(5.2, 6.3), SPOT) == [hours(0.1, 30.3)]


def test_a_first_empty_answer_is_seen_once() -> None:
    assert emptied(hours(0, 5), [], NOW, CONFIRM) == [Span(*hours(0, 5), EMPTY, 1, NOW)]


def test_nothing_is_said_of_an_empty_window() -> None:
    before = [Span(*hours(0, 5), EMPTY, 1, 0)]

    assert emptied(hours(3, 3), before, NOW, CONFIRM) == []
    assert emptied(hours(4, 3), before, NOW, CONFIRM) == []


@pytest.mark.parametrize(
    ("asked_at", "seen", "then"),
    [
        pytest.param(NOW - CONFIRM, 2, NOW, id="long enough ago"),
        pytest.param(NOW - CONFIRM + 1, 1, NOW - CONFIRM + 1, id="just now"),
        pytest.param(NOW + DAY_MS, 1, NOW + DAY_MS, id="by a clock that was ahead"),
    ],
)
def test_a_second_empty_answer_counts_when_it_comes_later(
    asked_at: int, seen: int, then: int
) -> None:
    before = [Span(*hours(0, 5), EMPTY, 1, asked_at)]

    found = overlay(before, emptied(hours(0, 5), before, NOW, CONFIRM))

    assert found == [Span(*hours(0, 5), EMPTY, seen, then)]


def test_an_empty_answer_counts_where_there_was_one_before_and_begins_elsewhere() -> None:
    before = [
        Span(*hours(0, 4), EMPTY, 1, 0),
        Span(*hours(4, 6), FAILED, 0, 0, "HTTP 500"),
        Span(*hours(6, 9), EMPTY, 2, 0, BETWEEN),
    ]

    found = overlay(before, emptied(hours(2, 8), before, NOW, CONFIRM))

    assert found == [
        Span(*hours(0, 2), EMPTY, 1, 0),
        Span(*hours(2, 4), EMPTY, 2, NOW),
        Span(*hours(4, 6), EMPTY, 1, NOW),
        Span(*hours(6, 8), EMPTY, 3, NOW, BETWEEN),
        Span(*hours(8, 9), EMPTY, 2, 0, BETWEEN),
    ]


def test_an_answer_without_candles_is_an_empty_one() -> None:
    assert answered(hours(0, 5), [], HOURLY, [], NOW, CONFIRM) == [
        Span(*hours(0, 5), EMPTY, 1, NOW)
    ]


def test_a_hole_between_candles_is_accepted_at_once() -> None:
    found = overlay([], answered(hours(0, 5), times(0, 1, 4), HOURLY, [], NOW, CONFIRM))

    assert found == [
        Span(*hours(0, 2), QUEUED),
        Span(*hours(2, 4), EMPTY, 2, NOW, BETWEEN),
        Span(*hours(4, 5), QUEUED),
    ]


def test_what_lies_before_and_after_the_candles_is_seen_once_more() -> None:
    before = [Span(*hours(0, 2), EMPTY, 1, 0)]

    found = overlay(before, answered(hours(0, 6), times(3, 4), HOURLY, before, NOW, CONFIRM))

    assert found == [
        Span(*hours(0, 2), EMPTY, 2, NOW),
        Span(*hours(2, 3), EMPTY, 1, NOW),
        Span(*hours(3, 5), QUEUED),
        Span(*hours(5, 6), EMPTY, 1, NOW),
    ]


def test_candles_off_the_grid_leave_no_hole_between_them() -> None:
    found = answered(hours(9, 12), times(9.47, 10.47, 11.47), HOURLY, [], NOW, CONFIRM)

    assert found == [Span(*hours(9, 12), QUEUED)]


def test_a_month_between_months_is_accepted() -> None:
    window = Window(month(1), month(5))

    found = overlay([], answered(window, [month(1), month(2), month(4)], MONTHLY, [], NOW, CONFIRM))

    assert found == [
        Span(month(1), month(3), QUEUED),
        Span(month(3), month(4), EMPTY, 2, NOW, BETWEEN),
        Span(month(4), month(5), QUEUED),
    ]


def test_observations_without_a_grid_answer_the_whole_window() -> None:
    found = answered(hours(0, 48), times(5.01, 6.3, 40), SPOT, [], NOW, CONFIRM)

    assert found == [Span(*hours(0, 48), QUEUED)]


@settings(deadline=None)
@given(
    window=st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted),
    chosen=st.sets(st.integers(0, 11)),
    before=st.lists(st.none() | st.tuples(st.integers(1, 3), st.booleans()), max_size=14),
)
def test_an_answer_agrees_with_a_look_at_every_slot(
    window: list[int], chosen: set[int], before: list[tuple[int, bool] | None]
) -> None:
    start, end = window
    told = sorted(slot for slot in chosen if start <= slot < end)
    recently, long_ago = NOW - 1, NOW - CONFIRM
    asked = {
        slot: (cell[0], recently if cell[1] else long_ago)
        for slot, cell in enumerate(before)
        if cell is not None
    }
    known = merge(Span(*hours(slot, slot + 1), EMPTY, *cell) for slot, cell in asked.items())

    def expected(slot: int) -> tuple[object, ...] | None:
        if slot in told:
            return (QUEUED, 0, None)
        seen, asked_at = asked.get(slot, (0, long_ago))
        if not start <= slot < end:
            return (EMPTY, seen, asked_at) if slot in asked else None
        if told and told[0] < slot < told[-1]:
            return (EMPTY, 2, NOW)
        return (EMPTY, seen, asked_at) if asked_at == recently else (EMPTY, seen + 1, NOW)

    spans = answered(hours(start, end), times(*told), HOURLY, known, NOW, CONFIRM)
    found = overlay(known, spans)

    slots = {
        slot: span[2:5]
        for span in found
        for slot in range(span.start // HOUR_MS, span.end // HOUR_MS)
    }
    assert slots == {slot: fact for slot in range(14) if (fact := expected(slot)) is not None}


def test_an_empty_answer_before_the_listing_leaves_it_there() -> None:
    before = [Span(0, 9, State.UNLISTED, 2, 7)]

    found = merge(overlay(before, emptied(Window(3, 6), before, 100, 50)))

    assert found == [
        Span(0, 3, State.UNLISTED, 2, 7),
        Span(3, 6, State.UNLISTED, 2, 100),
        Span(6, 9, State.UNLISTED, 2, 7),
    ]


def test_an_answer_says_where_its_candles_came_from() -> None:
    hour = 3_600_000
    window = Window(0, 3 * hour)

    found = answered(window, [0, 2 * hour], Interval("1h"), [], 7, 0, "a file")

    assert [(span.state, span.via) for span in merge(found)] == [
        (State.QUEUED, "a file"),
        (State.EMPTY, None),
        (State.QUEUED, "a file"),
    ]


@pytest.mark.parametrize("state", [State.OPEN, State.UNLISTED])
def test_what_is_held_is_neither_open_nor_before_the_listing(state: State) -> None:
    held = [Span(2, 4, State.STORED)]

    assert unheld([Span(0, 6, state)], held) == [Span(0, 2, state), Span(4, 6, state)]
