"""Dates as users write them: what they mean, and what is refused."""

import time
from collections.abc import Iterator

import pytest

from histq.dates import instant, span
from histq.errors import Usage

NOW = 1_700_000_000_000
"""2023-11-14T22:13:20Z"""


@pytest.fixture
def in_new_york(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's clock shows five hours less than UTC, in winter."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("now", NOW, id="now"),
        pytest.param("2024-01-01", 1_704_067_200_000, id="a date"),
        pytest.param("2024-01-01T12:00Z", 1_704_110_400_000, id="UTC"),
        pytest.param("2024-01-01T12:00", 1_704_110_400_000, id="no zone is UTC"),
        pytest.param("2024-01-01 12:00", 1_704_110_400_000, id="a space"),
        pytest.param("2024-01-01T12:00+02:00", 1_704_103_200_000, id="east of UTC"),
        pytest.param("2024-01-01T12:00:00.250Z", 1_704_110_400_250, id="milliseconds"),
        pytest.param("2024-02-29", 1_709_164_800_000, id="leap day"),
        pytest.param("15m", 1_699_999_100_000, id="minutes ago"),
        pytest.param("2h", 1_699_992_800_000, id="hours ago"),
        pytest.param("30d", 1_697_408_000_000, id="days ago"),
        pytest.param("1w", 1_699_395_200_000, id="weeks ago"),
    ],
)
@pytest.mark.usefixtures("in_new_york")
def test_a_date_means_an_instant(text: str, expected: int) -> None:
    assert instant(text, NOW, "--from") == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("yesterday", id="a word"),
        pytest.param("", id="nothing"),
        pytest.param("2024", id="a year"),
        pytest.param("2024-13-01", id="month 13"),
        pytest.param("2023-02-29", id="no leap year"),
        pytest.param("01/02/2024", id="slashes"),
        pytest.param("30", id="no unit"),
        pytest.param("30x", id="another unit"),
        pytest.param("30D", id="capital unit"),
        pytest.param("-3d", id="in the future"),
        pytest.param("1.5d", id="a fraction"),
        pytest.param("1704067200000", id="milliseconds"),
    ],
)
def test_what_is_no_date_is_refused_by_the_name_of_its_option(text: str) -> None:
    with pytest.raises(Usage) as told:
        instant(text, NOW, "--to")

    assert str(told.value).startswith(f"--to {text!r} is no date; write 2024-01-01")


def test_nothing_said_means_no_bound() -> None:
    assert span(None, None, NOW) == (None, None)


def test_both_ends_are_instants() -> None:
    assert span("2023-01-01", "2023-02-01", NOW) == (1_672_531_200_000, 1_675_209_600_000)


def test_the_end_may_lie_in_the_future() -> None:
    assert span("1d", "2024-01-01", NOW) == (1_699_913_600_000, 1_704_067_200_000)


@pytest.mark.parametrize(
    ("since", "until", "why"),
    [
        pytest.param("2023-02-01", "2023-01-01", "is not before --to 2023-01-01", id="reversed"),
        pytest.param("2023-02-01", "2023-02-01", "is not before --to 2023-02-01", id="empty"),
        pytest.param("1d", "2d", "is not before --to 2d", id="ages reversed"),
        pytest.param("2024-01-01", None, "is in the future", id="future"),
        pytest.param("1969-12-31", None, "is before 1970", id="before 1970"),
        pytest.param("999999w", None, "is before 1970", id="very long ago"),
    ],
)
def test_a_span_that_can_hold_no_prices_is_refused(since: str, until: str | None, why: str) -> None:
    with pytest.raises(Usage) as told:
        span(since, until, NOW)

    assert str(told.value).startswith(f"--from {since} {why}")
