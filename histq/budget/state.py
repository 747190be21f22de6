"""What the file of a host holds: who wants silence, what went out in each second, what was spent.

It is read as if a stranger had written it: whatever is not exactly this begins anew, because the
provider's own limit still holds; and nothing in it counts that lies in the future.
"""

from typing import Final, NamedTuple, Self

import msgspec

from histq.budget.credits import Account, Count, current, refund, spend

WINDOW_S: Final = 60
LONGEST_PAUSE_S: Final = 3 * 86_400
"""Binance's longest ban; whoever asks for more is asked again after that."""


class Pause(NamedTuple):
    """Asked for at `since` to last until `until`, ms."""

    since: Count
    until: Count

    def left_s(self, now: int) -> float:
        if now < self.since:  # the clock was set back meanwhile
            return 0
        return max(0, min(self.until, self.since + LONGEST_PAUSE_S * 1000) - now) / 1000

    def begun(self, now: int) -> "Pause":
        """The pause; none where it was asked for after now, by a clock that was set back since."""
        return self if self.since <= now else NO_PAUSE

    def longer(self, now: int, seconds: float) -> Self:
        """The pause that lasts at least so long from now on."""
        lasts_s = max(min(seconds, LONGEST_PAUSE_S), self.left_s(now))
        return self._replace(since=now, until=now + round(lasts_s * 1000))


NO_PAUSE: Final = Pause(0, 0)


class State(msgspec.Struct, kw_only=True):
    """The pauses stand first in the file: its head tells whether one was asked for."""

    silent: Pause
    held: Pause = NO_PAUSE
    sent: dict[Count, Count]
    accounts: dict[str, Account] = {}

    @classmethod
    def fresh(cls) -> Self:
        return cls(silent=NO_PAUSE, sent={})

    def text(self) -> bytes:
        return msgspec.json.encode(self)

    def head(self) -> bytes:
        """What a file with this state begins with for as long as no pause comes or grows."""
        return self.text().partition(b'"sent"')[0]

    @property
    def total(self) -> int:
        """How many requests count as sent in the window."""
        return sum(self.sent.values())

    def forget(self, now: int) -> None:
        """Drops what no longer counts, and what lies in the future: it never did."""
        self.silent, self.held = self.silent.begun(now), self.held.begun(now)
        second = now // 1000
        # One bucket more than the window has seconds: a request at the end of a second is younger
        # than its bucket. One from the future is of a clock that was set back since.
        self.sent = {
            s: n for s, n in self.sent.items() if n and second - WINDOW_S <= s <= second + 1
        }
        self.accounts = {name: a for name, a in self.accounts.items() if current(a, now)}

    def count(self, account: str, count: int, now: int) -> None:
        """So many are granted now, and count as sent."""
        second = now // 1000
        self.sent[second] = self.sent.get(second, 0) + count
        self.accounts[account] = spend(self.accounts.get(account, {}), count, now)

    def uncount(self, account: str, count: int, second: int) -> None:
        """So many of those granted in that second were not sent, and never will be."""
        self.sent[second] = max(0, self.sent.get(second, 0) - count)
        if account in self.accounts:
            self.accounts[account] = refund(self.accounts[account], count, second * 1000)


_decode = msgspec.json.Decoder(State).decode


def read(text: bytes) -> State | None:
    """The state in a text; None where it holds none."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None
