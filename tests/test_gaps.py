"""The ledger read as a list of holes."""

from histq.gaps import Why, by_month, coverage, gaps
from histq.model import Series, Span, State

HOUR = 3_600_000
HOURLY = Series("binance", "BTCUSDT", "1h")


def span(start: int, end: int, state: State, seen: int = 0) -> Span:
    """From hour to hour of 1970-01-01."""
    return Span(start * HOUR, end * HOUR, state, seen)


def test_every_kind_of_hole_has_its_name() -> None:
    spans = [
        span(0, 2, State.STORED),
        span(2, 3, State.FAILED),
        span(3, 4, State.EMPTY, seen=1),
        span(4, 5, State.EMPTY, seen=2),
        span(5, 6, State.DEAD),
        span(6, 7, State.WANTED),
        span(9, 10, State.QUEUED),
    ]

    found = gaps(HOURLY, spans)

    assert [(gap.start // HOUR, gap.end // HOUR, gap.why, gap.explained) for gap in found] == [
        (2, 3, Why.FAILED, False),
        (3, 4, Why.EMPTY_ONCE, False),
        (4, 5, Why.EMPTY, True),
        (5, 6, Why.DEAD, False),
        (6, 9, Why.NEVER_ASKED, False),
    ]
    assert [gap.slots for gap in found] == [1, 1, 1, 1, 3]


def test_a_hole_across_two_pages_is_one_as_far_as_its_reason_goes() -> None:
    spans = [
        span(0, 1, State.EMPTY, seen=1)._replace(asked_at=7),
        span(1, 2, State.EMPTY, seen=1)._replace(asked_at=9),
        span(2, 3, State.EMPTY, seen=2)._replace(asked_at=9),
        span(4, 5, State.FAILED)._replace(reason="HTTP 503"),
        span(5, 6, State.FAILED)._replace(reason="HTTP 429"),
    ]

    found = gaps(HOURLY, spans)

    assert [(gap.start // HOUR, gap.slots, gap.why, gap.asked_at) for gap in found] == [
        (0, 2, Why.EMPTY_ONCE, 7),
        (2, 1, Why.EMPTY, 9),
        (3, 1, Why.NEVER_ASKED, None),
        (4, 1, Why.FAILED, None),
        (5, 1, Why.FAILED, None),
    ]


def test_an_empty_ledger_has_no_holes_and_no_share() -> None:
    assert gaps(HOURLY, []) == []
    assert coverage(HOURLY, []).share is None
    assert by_month(HOURLY, []) == []


def test_coverage_leaves_accepted_holes_out() -> None:
    spans = [
        span(0, 6, State.STORED),
        span(6, 8, State.EMPTY, seen=2),
        span(8, 9, State.FAILED),
        span(9, 10, State.QUEUED),
    ]

    found = coverage(HOURLY, spans)

    assert (found.slots, found.stored, found.queued, found.accepted, found.lacking) == (
        *(10, 6, 1, 2),
        1,
    )
    assert found.share == 7 / 8


def test_coverage_counts_what_nobody_asked_for() -> None:
    spans = [span(0, 1, State.STORED), span(3, 4, State.STORED)]

    assert coverage(HOURLY, spans).lacking == 2


def test_months_split_a_span_at_their_seam() -> None:
    january = 31 * 24
    spans = [span(0, january + 5, State.STORED), span(january + 5, january + 10, State.FAILED)]

    found = by_month(HOURLY, spans)

    assert [(month.slots, month.stored, month.lacking) for month in found] == [
        (744, 744, 0),
        (10, 5, 5),
    ]


def test_what_lies_before_the_listing_or_was_not_closed_at_the_end_is_explained() -> None:
    spans = [
        span(0, 4, State.UNLISTED, seen=2),
        span(4, 6, State.STORED),
        span(6, 7, State.OPEN),
    ]

    found = gaps(HOURLY, spans)

    assert [(gap.start // HOUR, gap.why, gap.explained) for gap in found] == [
        (0, Why.BEFORE_LISTING, True),
        (6, Why.NOT_CLOSED, True),
    ]


def test_what_was_not_closed_long_ago_is_a_hole_once_later_candles_are_there() -> None:
    spans = [span(0, 1, State.OPEN), span(1, 2, State.STORED)]

    (gap,) = gaps(HOURLY, spans)

    assert (gap.why, gap.explained) == (Why.NEVER_ASKED, False)


def test_coverage_asks_for_nothing_before_the_listing_or_before_the_close() -> None:
    spans = [
        span(0, 4, State.UNLISTED, seen=2),
        span(4, 6, State.STORED)._replace(via="a file"),
        span(6, 7, State.OPEN),
    ]

    found = coverage(HOURLY, spans)

    assert (found.slots, found.accepted, found.open, found.lacking) == (7, 4, 1, 0)
    assert (found.archived, found.share) == (2, 1.0)
