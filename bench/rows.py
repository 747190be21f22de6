"""The rows that every contender moves: random hours of thirty series, in pages of a thousand."""

import random
from typing import Final

from histq.model import WIDTH
from histq.page import Flat

SERIES: Final = 30
POINTS: Final = 500_000
PAGE: Final = 1000
STEP_MS: Final = 3_600_000
START: Final = 1_500_001_200_000


def series(number: int) -> tuple[str, str, str]:
    return "bench", f"COIN{number:02}USDT", "1h"


def pages(size: int = PAGE) -> list[tuple[int, Flat]]:
    """(series, flat page of `size` rows), series by series."""
    dice = random.Random(1)
    slots = POINTS // SERIES
    return [
        (number, _page(dice, first, min(first + size, slots)))
        for number in range(SERIES)
        for first in range(0, slots, size)
    ]


def _page(dice: random.Random, first: int, end: int) -> Flat:
    flat: Flat = []
    for slot in range(first, end):
        opened, closed = (round(dice.uniform(100, 200), 2) for _ in range(2))
        high, low = max(opened, closed) + 1, min(opened, closed) - 1
        volumes = (round(dice.random() * scale, 4) for scale in (100, 1e6))
        takers = (round(dice.random() * scale, 4) for scale in (50, 5e5))
        flat += [START + slot * STEP_MS, opened, high, low, closed]
        flat += [*volumes, dice.randrange(1000), *takers, None]
    return flat


def tuples(found: list[tuple[int, Flat]]) -> list[tuple[object, ...]]:
    """The same, as rows of the table `prices`."""
    return [
        (number + 1, *flat[i : i + WIDTH], 0)
        for number, flat in found
        for i in range(0, len(flat), WIDTH)
    ]
