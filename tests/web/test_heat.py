"""Coverage as a heat map: which columns there are, and what is in their cells."""

import datetime

import pytest

from histq.model import Series, Span, State
from histq.pipeline.ledgers import Ledger
from histq.web.heat import Heat, HeatRow, heat
from tests.web import BTC, DAY, ETH


def day(text: str) -> int:
    moment = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC)
    return round(moment.timestamp() * 1000)


def stretch(start: str, end: str, state: State = State.STORED, seen: int = 0) -> Span:
    return Span(day(start), day(end), state, seen)


def of_one(*spans: Span) -> Heat:
    return heat([Ledger(BTC, list(spans))])


def test_nothing_known_is_an_empty_map() -> None:
    assert heat([]) == Heat("day", [], [])
    assert of_one() == Heat("day", [], [])


def test_a_cell_is_the_share_of_its_time_that_is_held() -> None:
    found = of_one(
        stretch("2024-01-01", "2024-01-02"),
        stretch("2024-01-02", "2024-01-02T18:00", State.QUEUED),
        stretch("2024-01-02T18:00", "2024-01-04", State.FAILED),
    )

    assert found == Heat(
        "day",
        [day("2024-01-01"), day("2024-01-02"), day("2024-01-03")],
        [HeatRow(*BTC, [1.0, 0.75, 0.0])],
    )


def test_what_nobody_has_asked_for_in_between_is_lacking() -> None:
    found = of_one(stretch("2024-01-01", "2024-01-02"), stretch("2024-01-03", "2024-01-04"))

    assert found.rows[0].shares == [1.0, 0.0, 1.0]


@pytest.mark.parametrize(
    "span",
    [
        pytest.param(stretch("2024-01-02", "2024-01-03", State.EMPTY, 2), id="confirmed empty"),
        pytest.param(stretch("2024-01-02", "2024-01-03", State.UNLISTED), id="before listing"),
    ],
)
def test_what_the_source_does_not_have_is_not_wanted(span: Span) -> None:
    found = of_one(stretch("2024-01-01", "2024-01-02"), span, stretch("2024-01-03", "2024-01-04"))

    assert found.rows[0].shares == [1.0, None, 1.0]


def test_the_map_begins_and_ends_with_what_is_wanted() -> None:
    found = of_one(
        stretch("2010-01-01", "2024-01-01", State.UNLISTED),
        stretch("2024-01-01", "2024-01-02"),
        stretch("2024-01-02", "2024-01-02T05:00", State.OPEN),
    )

    assert found == Heat("day", [day("2024-01-01")], [HeatRow(*BTC, [1.0])])


def test_all_series_share_the_columns() -> None:
    found = heat(
        [
            Ledger(BTC, [stretch("2024-01-01", "2024-01-02")]),
            Ledger(Series("binance", "NOTHING", "1h"), []),
            Ledger(ETH, [stretch("2024-01-02", "2024-01-03")]),
        ]
    )

    assert found.rows == [HeatRow(*BTC, [1.0, None]), HeatRow(*ETH, [None, 1.0])]


@pytest.mark.parametrize(
    ("start", "end", "unit", "first", "columns"),
    [
        ("2024-01-03", "2024-02-12", "day", "2024-01-03", 40),
        ("2024-01-03", "2024-02-13", "week", "2024-01-01", 7),
        ("2022-12-15", "2024-02-13", "month", "2022-12-01", 15),
        ("2020-11-15", "2024-05-13", "quarter", "2020-10-01", 15),
        ("2010-11-15", "2024-05-13", "year", "2010-01-01", 15),
    ],
)
def test_the_longer_the_history_the_coarser_the_columns(
    start: str, end: str, unit: str, first: str, columns: int
) -> None:
    found = of_one(stretch(start, end))

    assert (found.unit, found.starts[0], len(found.starts)) == (unit, day(first), columns)
    assert found.rows[0].shares == [1.0] * columns
    assert found.starts[-1] < day(end) <= found.starts[-1] + 366 * DAY
