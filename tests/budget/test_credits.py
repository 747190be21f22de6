"""Credits: so many a day and a month of the UTC calendar, for each key, by all processes."""

from pathlib import Path

import pytest

from histq.budget.credits import Balance, Credits
from tests.budget import NOON, Hands, budget, stored, takes

MIDNIGHT = 1_700_092_800_000  # 2023-11-16
DECEMBER = 1_701_388_800_000  # 2023-12-01
JANUARY = 1_704_067_200_000  # 2024-01-01
KEY = "CG-k3y0fn0b0dy"


def test_no_more_is_spent_than_the_month_has(tmp_path: Path) -> None:
    clock = Hands()
    allowance = budget(tmp_path, clock, 600, credits=Credits(per_month=25))

    assert takes(allowance) == 25
    assert allowance.take() == (DECEMBER - NOON) / 1000


def test_no_more_is_spent_than_the_day_has(tmp_path: Path) -> None:
    clock = Hands()
    allowance = budget(tmp_path, clock, 600, credits=Credits(per_day=5, per_month=8))

    first, wait_s = takes(allowance), allowance.take()
    clock.now = MIDNIGHT
    second, longer_wait_s = takes(allowance), allowance.take()

    assert (first, wait_s) == (5, 12 * 3600)
    assert (second, longer_wait_s) == (3, (DECEMBER - MIDNIGHT) / 1000)


@pytest.mark.parametrize(
    ("before", "after", "fresh"),
    [
        (DECEMBER - 1, DECEMBER, 3),
        (JANUARY - 1, JANUARY, 3),
        (MIDNIGHT - 1, MIDNIGHT, 0),
    ],
    ids=["month", "year", "day"],
)
def test_a_month_begins_with_all_its_credits(
    before: int, after: int, fresh: int, tmp_path: Path
) -> None:
    clock = Hands(before)
    allowance = budget(tmp_path, clock, 600, credits=Credits(per_month=3))
    assert takes(allowance) == 3

    clock.now = after

    assert takes(allowance) == fresh


def test_processes_spend_from_one_account(tmp_path: Path) -> None:
    clock = Hands()
    one, other = (budget(tmp_path, clock, 600, credits=Credits(per_month=25)) for _ in range(2))

    assert takes(one, most=7) == 7
    assert takes(other) + takes(one) == 18


def test_credits_that_were_not_spent_are_given_back(tmp_path: Path) -> None:
    clock = Hands()
    one, other = (budget(tmp_path, clock, 600, credits=Credits(per_month=4)) for _ in range(2))
    one.take()
    assert other.take() > 0

    clock.now += 1000
    one.take()
    one.give_back()

    assert takes(other) == 2


def test_credits_given_back_in_the_next_month_are_those_of_the_last(tmp_path: Path) -> None:
    clock = Hands(DECEMBER - 1)
    one, other = (budget(tmp_path, clock, 600, credits=Credits(per_month=20)) for _ in range(2))
    one.take()
    clock.now = DECEMBER
    other.take()

    one.give_back()

    assert [balance.spent for balance in other.balances()] == [10]


def test_each_key_has_credits_of_its_own_and_all_share_the_minute(tmp_path: Path) -> None:
    clock = Hands()
    mine = budget(tmp_path, clock, 30, credits=Credits.of_key(KEY, 0, 20))
    yours = budget(tmp_path, clock, 30, credits=Credits.of_key("another-key", 0, 20))

    assert (takes(mine), takes(yours)) == (20, 10)


def test_the_key_stands_in_no_file(tmp_path: Path) -> None:
    budget(tmp_path, Hands(), credits=Credits.of_key(KEY, 0, 20)).take()

    assert list(stored(tmp_path)["accounts"]) != ["keyless"]
    assert KEY not in str(stored(tmp_path))


def test_what_was_spent_before_there_was_a_limit_counts(tmp_path: Path) -> None:
    clock = Hands()
    unlimited = budget(tmp_path, clock, 600)
    takes(unlimited, most=30)
    unlimited.give_back()

    limited = budget(tmp_path, clock, 600, credits=Credits(per_month=31))

    assert takes(limited) == 1


def test_a_month_that_a_clock_ran_ahead_to_does_not_block_this_one(tmp_path: Path) -> None:
    clock = Hands(JANUARY)
    takes(budget(tmp_path, clock, credits=Credits(per_month=1)))

    clock.now = NOON

    assert takes(budget(tmp_path, clock, credits=Credits(per_month=1))) == 1


def test_accounts_of_a_month_that_is_over_are_forgotten(tmp_path: Path) -> None:
    clock = Hands()
    budget(tmp_path, clock, credits=Credits.of_key(KEY, 0, 0)).take()
    clock.now = DECEMBER

    budget(tmp_path, clock).take()

    assert list(stored(tmp_path)["accounts"]) == ["keyless"]


def test_balances_tell_what_is_left_and_until_when(tmp_path: Path) -> None:
    credits = Credits(per_day=100, per_month=10_000)
    allowance = budget(tmp_path, Hands(), credits=credits)
    takes(allowance)

    assert allowance.balances() == [
        Balance("day", limit=100, spent=2, left=98, ends_at=MIDNIGHT),
        Balance("month", limit=10_000, spent=2, left=9_998, ends_at=DECEMBER),
    ]


def test_balances_make_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "state"

    (balance,) = budget(folder, Hands(), credits=Credits(per_month=5)).balances()

    assert balance == Balance("month", limit=5, spent=0, left=5, ends_at=DECEMBER)
    assert not folder.exists()
