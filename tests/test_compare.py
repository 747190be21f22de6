"""Two histories side by side: what both hold, and how far apart they are."""

import statistics
import tracemalloc
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from histq.compare import (
    PRICES,
    VOLUME,
    Comparison,
    Difference,
    compare,
    share_between,
    side_by_side,
)
from histq.model import Candle

CLOSE = ("close",)


def closes(*values: float | None, start: int = 0) -> list[Candle]:
    """A candle each, at 0, 1, 2, ...; none where the value is None."""
    return [
        Candle(start + time, close=value) for time, value in enumerate(values) if value is not None
    ]


def compared(
    left: Sequence[Candle], right: Sequence[Candle], tolerance: float = 0.0, limit: int = 10
) -> Comparison:
    return compare(left, right, CLOSE, tolerance, limit)


def test_candles_of_one_open_time_stand_side_by_side() -> None:
    left, right = closes(1.0, 2.0, None, 4.0), closes(None, 5.0, 6.0, 7.0, 8.0)

    pairs = [
        (one and (one.timestamp, one.close), other and (other.timestamp, other.close))
        for one, other in side_by_side(left, right)
    ]

    assert pairs == [
        ((0, 1.0), None),
        ((1, 2.0), (1, 5.0)),
        (None, (2, 6.0)),
        ((3, 4.0), (3, 7.0)),
        (None, (4, 8.0)),
    ]


@pytest.mark.parametrize(
    ("left", "right", "share"),
    [
        pytest.param(100.0, 99.0, -0.01, id="the right one is less"),
        pytest.param(99.0, 100.0, 0.01, id="the left one is less"),
        pytest.param(7.5, 7.5, 0.0, id="equal"),
        pytest.param(0.0, 0.0, 0.0, id="both nothing"),
        pytest.param(0.0, 5.0, 1.0, id="the left one nothing"),
        pytest.param(5.0, 0.0, -1.0, id="the right one nothing"),
        pytest.param(4.0e-05, 5.0e-05, 0.2, id="small"),
    ],
)
def test_what_lies_between_two_is_a_share_of_the_larger(
    left: float, right: float, share: float
) -> None:
    assert share_between(left, right) == pytest.approx(share, rel=1e-12)


def test_equal_within_and_beyond_add_up_to_what_was_compared() -> None:
    # Shares of 0, -0.01, -0.02 and 0.2.
    found = compared(closes(100.0, 100.0, 100.0, 100.0), closes(100.0, 99.0, 98.0, 125.0), 0.01)

    assert (found.both, found.left_only, found.right_only, found.beyond) == (4, 0, 0, 2)
    (figures,) = found.fields
    assert (figures.compared, figures.equal, figures.within, figures.beyond) == (4, 1, 1, 2)
    assert figures.mean == pytest.approx(0.0575)
    assert figures.median == pytest.approx(0.015)
    assert figures.bias == pytest.approx(0.0425)
    assert figures.largest == Difference(3, "close", 100.0, 125.0, 0.2)


def test_exactly_the_tolerance_is_within_it() -> None:
    (figures,) = compared(closes(100.0), closes(99.0), tolerance=0.01).fields

    assert (figures.within, figures.beyond) == (1, 0)


def test_what_one_side_lacks_is_counted_and_no_difference() -> None:
    found = compared(closes(1.0, 2.0, 3.0), closes(None, 2.0, None, 4.0, 5.0))

    assert (found.both, found.left_only, found.right_only) == (1, 2, 2)
    assert (found.beyond, found.differences) == (0, [])


def test_nothing_against_nothing_has_no_figures() -> None:
    found = compared([], closes(1.0))

    (figures,) = found.fields
    assert (found.both, found.right_only, figures.compared) == (0, 1, 0)
    assert (figures.mean, figures.median, figures.bias, figures.largest) == (None,) * 4


def test_a_field_that_a_side_does_not_tell_is_not_compared() -> None:
    whole = [Candle(0, 3.0, 4.0, 2.0, 3.5, 10.0), Candle(1, 3.0, 4.0, 2.0, 3.5, 10.0)]
    partly = [Candle(0, close=3.5), Candle(1, 3.0, 4.0, None, 3.5, 10.0)]

    found = compare(whole, partly, (*PRICES, VOLUME), 0.0, 10)

    assert [(one.field, one.compared, one.left_lacks, one.right_lacks) for one in found.fields] == [
        ("open", 1, 0, 1),
        ("high", 1, 0, 1),
        ("low", 0, 0, 2),
        ("close", 2, 0, 0),
        ("volume", 1, 0, 1),
    ]


def test_the_largest_differences_are_told_largest_first_and_of_equal_ones_the_earlier() -> None:
    left = [Candle(time, open=100.0, close=100.0) for time in range(4)]
    right = [
        Candle(0, open=90.0, close=99.0),
        Candle(1, open=100.0, close=50.0),
        Candle(2, open=90.0, close=90.0),
        Candle(3, open=100.0, close=50.0),
    ]

    found = compare(left, right, ("open", "close"), 0.02, limit=4)

    assert found.beyond == 5
    assert [(one.timestamp, one.field, one.share) for one in found.differences] == [
        (1, "close", -0.5),
        (3, "close", -0.5),
        (0, "open", -0.1),
        (2, "open", -0.1),
    ]
    assert [one.largest and one.largest.timestamp for one in found.fields] == [0, 1]


def test_with_no_difference_to_tell_they_are_counted_all_the_same() -> None:
    found = compared(closes(1.0, 1.0), closes(2.0, 3.0), limit=0)

    assert (found.beyond, found.differences) == (2, [])


def test_the_largest_is_known_within_the_tolerance_too() -> None:
    found = compared(closes(100.0, 100.0), closes(99.0, 98.0), tolerance=0.5)

    assert found.differences == []
    assert found.fields[0].largest == Difference(1, "close", 100.0, 98.0, -0.02)


def test_a_difference_of_a_candle_that_closed_early_says_so() -> None:
    left = [Candle(0, close=1.0), Candle(10, close=1.0, close_time=12), Candle(20, close=1.0)]
    right = [Candle(0, close=4.0), Candle(10, close=3.0), Candle(20, close=2.0, close_time=22)]

    found = compared(left, right)

    assert [one.irregular for one in found.differences] == [False, True, True]


@given(st.lists(st.tuples(st.floats(0.5, 2.0), st.floats(0.5, 2.0)), min_size=1, max_size=60))
def test_mean_and_median_are_those_of_the_sizes(pairs: list[tuple[float, float]]) -> None:
    sizes = [abs(one - other) / max(one, other) for one, other in pairs]

    (figures,) = compared(
        closes(*(one for one, _ in pairs)), closes(*(other for _, other in pairs))
    ).fields

    assert figures.mean == pytest.approx(statistics.fmean(sizes))
    assert figures.median == pytest.approx(statistics.median(sizes), rel=0.005)
    assert figures.equal == sizes.count(0.0)


def test_a_long_history_is_held_nowhere() -> None:
    def many(factor: float) -> Iterator[Candle]:
        return (Candle(time, close=(100 + time % 977) * factor) for time in range(40_000))

    tracemalloc.start()
    found = compare(many(1.0), many(1.001), CLOSE, 0.0, 5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert found.beyond == 40_000
    assert peak < 1_000_000  # all candles of one side alone are more than 5 MB
