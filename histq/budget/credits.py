"""What a plan grants by the day and by the month of the UTC calendar, and what is spent of it."""

import hashlib
from typing import Annotated, Final, NamedTuple, Self

import msgspec

from histq.model import Interval

PERIODS: Final = {"day": Interval("1d"), "month": Interval("1M")}
"""The longest last: an account is forgotten when it is over."""

Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]


class Tally(NamedTuple):
    """How many credits were spent in the period that began at `start`, ms."""

    start: Count
    spent: Count


Account = dict[str, Tally]
"""By period."""


class Credits(NamedTuple):
    """What may be spent, a credit a request; 0 is without limit. `account` stands for the key."""

    per_day: int = 0
    per_month: int = 0
    account: str = "keyless"

    @classmethod
    def of_key(cls, key: str, per_day: int, per_month: int) -> Self:
        if not key:
            return cls(per_day, per_month)
        # The hash tells accounts apart; the key itself stands in no file of ours.
        return cls(per_day, per_month, hashlib.sha256(key.encode()).hexdigest()[:16])


NO_CREDITS: Final = Credits()


class Balance(msgspec.Struct, frozen=True):
    """What is spent of `limit` credits in the day or the month that ends at `ends_at`, ms."""

    period: str
    limit: int
    spent: int
    left: int
    ends_at: int

    def __str__(self) -> str:
        return f"{self.spent:,} of {self.limit:,} credits of this {self.period}"


def balances(credits: Credits, account: Account, now: int) -> list[Balance]:
    """One for each period that is limited."""
    found = []
    for name, limit in (("day", credits.per_day), ("month", credits.per_month)):
        if limit:
            spent = _spent(account, name, now)
            left = max(0, limit - spent)
            found.append(Balance(name, limit, spent, left, PERIODS[name].next(now)))
    return found


def spend(account: Account, count: int, now: int) -> Account:
    """The account with so many more spent, and without periods that are over."""
    return {
        name: Tally(period.floor(now), _spent(account, name, now) + count)
        for name, period in PERIODS.items()
    }


def refund(account: Account, count: int, spent_at: int) -> Account:
    """The account with what was spent at that instant taken back, where it is still known of."""
    return {
        name: Tally(
            start, max(0, spent - count) if start == PERIODS[name].floor(spent_at) else spent
        )
        for name, (start, spent) in account.items()
        if name in PERIODS
    }


def current(account: Account, now: int) -> bool:
    """Whether its month is this one."""
    month = account.get("month")
    return month is not None and month.start == PERIODS["month"].floor(now)


def _spent(account: Account, name: str, now: int) -> int:
    """In the period that holds `now`."""
    tally = account.get(name)
    return tally.spent if tally and tally.start == PERIODS[name].floor(now) else 0
