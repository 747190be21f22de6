"""Wanted minus known, cut into pages: worked examples, and a look at every slot."""

import datetime
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from histq.ledger import merge
from histq.model import DAY_MS, HOUR_MS, Interval, Span, State, Window
from histq.plan import Wish, closed_until, joined, missing, pages, unexplained, wanted

HOURLY = Interval("1h")
SPOT = Interval("spot")
NOW = 1_700_000_000_000
CONFIRM = HOUR_MS
# 30 days and 20 hours after 1970 began; all before is closed.
UNTIL = 740 * HOUR_MS


def hours(start: float, end: float) -> Window:
    return Window(round(start * HOUR_MS), round(end * HOUR_MS))


def span(
    start: float, end: float, state: State, seen: int = 0, asked_at: int | None = None
) -> Span:
    return Span(*hours(start, end), state, seen, asked_at)


def at(year: int, month: int, day: int = 1) -> int:
    moment = datetime.datetime(year, month, day, tzinfo=datetime.UTC)
    return round(moment.timestamp() * 1000)


STORED = [span(100, 500, State.STORED)]


@pytest.mark.parametrize(
    ("wish", "spans", "expected"),
    [
        pytest.param(Wish(), [], [hours(20, 740)], id="nothing known: 30 days"),
        pytest.param(Wish(end=UNTIL - HOUR_MS), [], [hours(19, 739)], id="30 days, to an end"),
        pytest.param(Wish(end=0), [], [], id="an end before the 30 days"),
        pytest.param(Wish(), STORED, [hours(500, 740)], id="from where the ledger ends"),
        pytest.param(Wish(end=600 * HOUR_MS), STORED, [hours(500, 600)], id="from there to an end"),
        pytest.param(Wish(end=300 * HOUR_MS), STORED, [], id="the end is known already"),
        pytest.param(Wish(0), STORED, [hours(0, 740)], id="a start, known or not"),
        pytest.param(Wish(0, 300 * HOUR_MS), STORED, [hours(0, 300)], id="a start and an end"),
        pytest.param(Wish(1, 300 * HOUR_MS), [], [hours(1, 300)], id="a start off the grid"),
        pytest.param(Wish(0, 900 * HOUR_MS), [], [hours(0, 740)], id="an end still open"),
        pytest.param(Wish(800 * HOUR_MS), [], [], id="a start still open"),
        pytest.param(Wish(HOUR_MS, HOUR_MS), [], [], id="an end at the start"),
        pytest.param(Wish(0, refetch=True), STORED, [hours(0, 740)], id="again"),
    ],
)
def test_wanted_is_what_the_wish_says(
    wish: Wish, spans: list[Span], expected: list[Window]
) -> None:
    assert wanted(wish, spans, HOURLY, UNTIL) == expected


@pytest.mark.parametrize(
    ("state", "again"),
    [
        pytest.param(State.WANTED, True, id="wanted"),
        pytest.param(State.FAILED, True, id="failed"),
        pytest.param(State.EMPTY, True, id="empty"),
        pytest.param(State.QUEUED, False, id="queued"),
        pytest.param(State.STORED, False, id="stored"),
        pytest.param(State.DEAD, False, id="dead"),
    ],
)
def test_unfinished_business_is_wanted_without_a_start(state: State, again: bool) -> None:
    spans = [span(0, 5, State.STORED), span(5, 9, state), span(9, 700, State.STORED)]

    found = wanted(Wish(), spans, HOURLY, UNTIL)

    assert found == [*([hours(5, 9)] if again else []), hours(700, 740)]


def test_unfinished_business_past_the_end_is_not_wanted() -> None:
    spans = [span(5, 9, State.FAILED), span(20, 30, State.FAILED)]

    assert wanted(Wish(end=7 * HOUR_MS), spans, HOURLY, UNTIL) == [hours(5, 7)]


def test_a_clock_behind_the_ledger_wants_nothing() -> None:
    assert wanted(Wish(), [span(0, 900, State.STORED)], HOURLY, UNTIL) == []


def test_months_are_wanted_from_the_first_of_one() -> None:
    found = wanted(Wish(at(2024, 1, 15)), [], Interval("1M"), at(2024, 6))

    assert found == [Window(at(2024, 2), at(2024, 6))]


def test_nothing_known_leaves_all_missing() -> None:
    assert missing([hours(3, 9)], [], NOW, CONFIRM) == [hours(3, 9)]


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        pytest.param([(0, 3)], [hours(3, 9)], id="before, touching"),
        pytest.param([(1, 5)], [hours(5, 9)], id="over the start"),
        pytest.param([(5, 12)], [hours(3, 5)], id="over the end"),
        pytest.param([(5, 6)], [hours(3, 5), hours(6, 9)], id="in the middle"),
        pytest.param([(4, 5), (7, 8)], [hours(3, 4), hours(5, 7), hours(8, 9)], id="two"),
        pytest.param([(3, 9)], [], id="all of it"),
        pytest.param([(0, 20)], [], id="more than all"),
        pytest.param([(9, 20)], [hours(3, 9)], id="after, touching"),
    ],
)
def test_what_is_stored_is_not_missing(
    known: list[tuple[int, int]], expected: list[Window]
) -> None:
    spans = [span(*stretch, State.STORED) for stretch in known]

    assert missing([hours(3, 9)], spans, NOW, CONFIRM) == expected


WEEK = 7 * DAY_MS


@pytest.mark.parametrize(
    ("state", "seen", "asked_at", "is_missing"),
    [
        pytest.param(State.QUEUED, 0, None, False, id="queued"),
        pytest.param(State.STORED, 0, None, False, id="stored"),
        pytest.param(State.DEAD, 0, None, False, id="dead"),
        pytest.param(State.WANTED, 0, None, True, id="wanted"),
        pytest.param(State.FAILED, 0, NOW, True, id="failed just now"),
        pytest.param(State.EMPTY, 1, NOW, False, id="empty, asked just now"),
        pytest.param(State.EMPTY, 1, NOW - CONFIRM + 1, False, id="empty, to be confirmed soon"),
        pytest.param(State.EMPTY, 1, NOW - CONFIRM, True, id="empty, to be confirmed"),
        pytest.param(State.EMPTY, 2, NOW - CONFIRM, False, id="accepted"),
        pytest.param(State.EMPTY, 2, NOW - WEEK + 1, False, id="accepted for nearly a week"),
        pytest.param(State.EMPTY, 2, NOW - WEEK, True, id="accepted a week ago"),
        pytest.param(State.EMPTY, 2, NOW + 1, True, id="asked by a clock that was ahead"),
        pytest.param(State.EMPTY, 2, None, True, id="empty, nobody knows since when"),
    ],
)
def test_missing_depends_on_what_is_known(
    state: State, seen: int, asked_at: int | None, is_missing: bool
) -> None:
    spans = [span(3, 9, state, seen, asked_at)]

    assert missing([hours(3, 9)], spans, NOW, CONFIRM) == ([hours(3, 9)] if is_missing else [])


windows = st.lists(
    st.tuples(st.integers(0, 24), st.integers(0, 24)).map(lambda pair: Window(*sorted(pair))),
    max_size=4,
)


def instants(found: list[Window]) -> list[int]:
    return [t for window in found for t in range(window.start, window.end)]


@settings(deadline=None)
@given(
    asked=windows,
    cells=st.lists(st.sampled_from([None, State.STORED, State.DEAD, State.FAILED]), max_size=26),
)
def test_missing_agrees_with_a_look_at_every_instant(
    asked: list[Window], cells: list[State | None]
) -> None:
    asked = [window for window in asked if window.start < window.end]
    spans = merge(Span(t, t + 1, cell) for t, cell in enumerate(cells) if cell is not None)
    known = {t for t, cell in enumerate(cells) if cell in (State.STORED, State.DEAD)}

    found = missing(asked, spans, NOW, CONFIRM)

    assert instants(found) == sorted(set(instants(asked)) - known)
    assert all(before.end < after.start for before, after in pairwise(found))


@settings(deadline=None)
@given(asked=windows)
def test_joined_windows_hold_the_same_instants_once(asked: list[Window]) -> None:
    asked = [window for window in asked if window.start < window.end]

    found = joined(asked)

    assert instants(found) == sorted(set(instants(asked)))
    assert all(before.end < after.start for before, after in pairwise(found))


@pytest.mark.parametrize(
    ("asked", "page_slots", "reach", "expected"),
    [
        pytest.param([], 5, None, [], id="nothing"),
        pytest.param([hours(0, 5)], 5, None, [hours(0, 5)], id="one page exactly"),
        pytest.param([hours(0, 6)], 5, None, [hours(0, 5), hours(5, 6)], id="one slot more"),
        pytest.param([hours(0, 2), hours(4, 5)], 9, None, [hours(0, 2), hours(4, 5)], id="apart"),
        pytest.param([hours(0, 2)], 1, None, [hours(0, 1), hours(1, 2)], id="slot by slot"),
        pytest.param([hours(0, 6)], 9, 4, [hours(0, 4), hours(4, 6)], id="cut at the reach"),
        pytest.param(
            [hours(0, 6)], 3, 4, [hours(0, 3), hours(3, 4), hours(4, 6)], id="cut by both"
        ),
        pytest.param([hours(0, 6)], 9, 0, [hours(0, 6)], id="reach at the start"),
        pytest.param([hours(0, 6)], 9, 6, [hours(0, 6)], id="reach at the end"),
        pytest.param([hours(0, 6)], 9, 8, [hours(0, 6)], id="reach past the end"),
        pytest.param([hours(0, 2.5)], 9, None, [hours(0, 3)], id="an end off the grid"),
        pytest.param([hours(0.5, 3)], 9, None, [hours(0.5, 3)], id="a start off the grid"),
        pytest.param(
            [hours(0.5, 3)], 1, None, [hours(0.5, 1), hours(1, 2), hours(2, 3)], id="off, in pages"
        ),
        pytest.param([hours(0.5, 0.7)], 9, None, [hours(0.5, 1)], id="within a slot"),
    ],
)
def test_windows_are_cut_into_pages(
    asked: list[Window], page_slots: int, reach: int | None, expected: list[Window]
) -> None:
    found = pages(asked, HOURLY, page_slots, None if reach is None else reach * HOUR_MS)

    assert found == expected


def test_months_are_cut_by_the_calendar() -> None:
    found = pages([Window(at(2024, 1), at(2024, 8))], Interval("1M"), 3)

    assert found == [
        Window(at(2024, 1), at(2024, 4)),
        Window(at(2024, 4), at(2024, 7)),
        Window(at(2024, 7), at(2024, 8)),
    ]


def test_without_a_grid_pages_are_cut_by_the_hour() -> None:
    assert pages([hours(0, 5)], SPOT, 3) == [hours(0, 3), hours(3, 5)]


@settings(deadline=None)
@given(
    name=st.sampled_from(["1m", "1h", "3d", "1w", "1M", "spot"]),
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=6),
    page_slots=st.integers(1, 5),
    reach=st.none() | st.integers(-2, 40),
)
def test_pages_cover_every_slot_of_the_windows_once(
    name: str, lengths: list[int], page_slots: int, reach: int | None
) -> None:
    interval = Interval(name)
    first = interval.ceil(at(2023, 11, 2))
    cuts = [0]
    for length in lengths:
        cuts.append(cuts[-1] + length)
    edges = [interval.next(first, cut) for cut in cuts]
    asked = [Window(a, b) for a, b in pairwise(edges)][::2]  # every other is known
    reach_at = None if reach is None else interval.next(first, reach)

    found = pages(asked, interval, page_slots, reach_at)

    assert all(before.end <= after.start for before, after in pairwise(found))
    assert instants_of(interval, found) == instants_of(interval, asked)
    for page in found:
        assert page.start == interval.floor(page.start)
        assert page.end == interval.floor(page.end)
        assert 1 <= interval.slots(*page) <= page_slots
        assert reach_at is None or not page.start < reach_at < page.end


def instants_of(interval: Interval, found: list[Window]) -> list[int]:
    return [
        interval.next(window.start, slot)
        for window in found
        for slot in range(interval.slots(*window))
    ]


@pytest.mark.parametrize(
    ("name", "now", "delay", "expected"),
    [
        pytest.param("1h", 5 * HOUR_MS, 0, 5 * HOUR_MS, id="on the hour"),
        pytest.param("1h", 5 * HOUR_MS - 1, 0, 4 * HOUR_MS, id="just before the hour"),
        pytest.param("1h", 5 * HOUR_MS + 1, 0, 5 * HOUR_MS, id="just after the hour"),
        pytest.param("1h", 5 * HOUR_MS + 59, 60, 4 * HOUR_MS, id="not published yet"),
        pytest.param("1h", 5 * HOUR_MS + 60, 60, 5 * HOUR_MS, id="published"),
        pytest.param("1d", at(2024, 3, 1) + 7, 0, at(2024, 3, 1), id="a day"),
        pytest.param("1w", at(2024, 1, 7), 0, at(2024, 1, 1), id="a week ends on Sunday"),
        pytest.param("1M", at(2024, 3, 31), 0, at(2024, 3, 1), id="a month"),
        pytest.param("spot", 5 * HOUR_MS + 9, 0, 5 * HOUR_MS, id="no grid"),
    ],
)
def test_all_before_the_open_slot_is_closed(name: str, now: int, delay: int, expected: int) -> None:
    assert closed_until(Interval(name), now, delay) == expected


def test_what_was_not_closed_at_the_end_is_no_hole_but_one_in_the_middle_is() -> None:
    middle, end = span(2, 3, State.OPEN), span(5, 6, State.OPEN)
    spans = [span(0, 2, State.STORED), middle, span(3, 5, State.STORED), end]

    assert unexplained(spans) == [middle]
    assert unexplained(spans[:1]) == []


def test_what_was_not_closed_is_asked_for_again_at_once() -> None:
    spans = [span(0, 2, State.STORED), span(2, 3, State.OPEN, asked_at=NOW)]
    windows = wanted(Wish(), spans, HOURLY, 4 * HOUR_MS)

    assert windows == [hours(2, 3), hours(3, 4)]
    assert missing(windows, spans, NOW, HOUR_MS) == [hours(2, 4)]


def test_what_lies_before_the_listing_is_left_alone_for_a_week() -> None:
    day = 24 * HOUR_MS
    spans = [span(0, 9, State.UNLISTED, seen=2, asked_at=NOW)]

    assert unexplained(spans) == []
    assert missing([hours(0, 9)], spans, NOW + 7 * day - 1, HOUR_MS) == []
    assert missing([hours(0, 9)], spans, NOW + 7 * day, HOUR_MS) == [hours(0, 9)]
