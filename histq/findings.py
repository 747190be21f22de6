"""What an audit finds: one line that says where, what, and what to do."""

from collections.abc import Iterable
from itertools import islice
from typing import Final

import msgspec

SHOWN: Final = 5


class Finding(msgspec.Struct, frozen=True):
    """`where` is a file, a series or a table; `advice` what to do."""

    where: str
    what: str
    advice: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}; {self.advice}"


def some(ids: Iterable[object]) -> str:
    """The first few of them: 1, 2, 3, 4, 5, ..."""
    *shown, last = islice(map(str, ids), SHOWN + 1)
    return ", ".join([*shown, last if len(shown) < SHOWN else "..."])
