"""Schedules as cron reads them."""

import datetime

import pytest

from histq.daemon.schedule import next_after, trigger
from histq.errors import Config


def ms(text: str) -> int:
    return round(datetime.datetime.fromisoformat(f"{text}+00:00").timestamp() * 1000)


@pytest.mark.parametrize(
    ("schedule", "after", "following"),
    [
        # 2024-01-01 was a Monday.
        ("*/15 * * * *", "2024-01-01T00:00:01", "2024-01-01T00:15:00"),
        ("7 * * * *", "2024-01-01T00:07:01", "2024-01-01T01:07:00"),
        ("30 4 * * *", "2024-01-01T05:00:00", "2024-01-02T04:30:00"),
        ("0 0 1 * *", "2024-01-02T00:00:00", "2024-02-01T00:00:00"),
        ("0 12 * * 0", "2024-01-01T00:00:00", "2024-01-07T12:00:00"),
        ("0 12 * * 7", "2024-01-01T00:00:00", "2024-01-07T12:00:00"),
        ("0 12 * * sun", "2024-01-01T00:00:00", "2024-01-07T12:00:00"),
        ("0 12 * * 1-5", "2024-01-05T13:00:00", "2024-01-08T12:00:00"),
        ("0 12 * * 6,0", "2024-01-01T00:00:00", "2024-01-06T12:00:00"),
        ("0 12 * * 5-7", "2024-01-06T13:00:00", "2024-01-07T12:00:00"),
        ("0 12 * * */3", "2024-01-01T00:00:00", "2024-01-03T12:00:00"),
        ("0 12 * * 4/2", "2024-01-04T13:00:00", "2024-01-06T12:00:00"),
        # A day of the month and a weekday: on either.
        ("0 0 15 * 3", "2024-01-01T00:00:00", "2024-01-03T00:00:00"),
        ("0 0 2 * 3", "2024-01-01T00:00:00", "2024-01-02T00:00:00"),
        ("15m", "2024-01-01T00:01:00", "2024-01-01T00:16:00"),
        ("1d", "2024-01-01T00:01:00", "2024-01-02T00:01:00"),
    ],
)
def test_a_schedule_comes_round_as_cron_has_it(schedule: str, after: str, following: str) -> None:
    assert next_after(trigger(schedule), ms(after)) == ms(following)


@pytest.mark.parametrize(
    "schedule",
    ["", "soon", "* * * *", "61 * * * *", "* * * * 8", "* * * * mon-", "* * * * 5-2", "0m", "15"],
)
def test_what_is_no_schedule_is_refused_in_one_line(schedule: str) -> None:
    with pytest.raises(Config, match=r"^daemon\.repair ") as caught:
        trigger(schedule, setting="daemon.repair")

    assert "\n" not in str(caught.value)
    assert repr(schedule) in str(caught.value)


@pytest.mark.parametrize("schedule", ["0 0 31 2 *", "0 0 31 4,6,9,11 *"])
def test_a_time_that_never_comes_is_no_schedule(schedule: str) -> None:
    with pytest.raises(Config, match="never comes"):
        trigger(schedule)


@pytest.mark.parametrize("schedule", ["0 0 29 2 *", "0 0 31 2 mon"])
def test_a_time_that_comes_seldom_is_one(schedule: str) -> None:
    trigger(schedule)
