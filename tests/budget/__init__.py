"""A clock that is set by hand, and budgets that go by it."""

import json
from pathlib import Path
from typing import Any

from histq.budget import Budget
from histq.budget.credits import NO_CREDITS, Credits

NOON = 1_700_049_600_000  # 2023-11-15T12:00Z
HOST = "api.example.com"


class Hands:
    """A clock that is set by hand."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def budget(
    folder: Path,
    clock: Hands,
    per_minute: int = 2,
    host: str = HOST,
    credits: Credits = NO_CREDITS,
) -> Budget:
    return Budget(folder, host, per_minute, credits=credits, clock=clock)


def takes(budget: Budget, most: int = 1000) -> int:
    """How many requests may go out at this moment."""
    return next((n for n in range(most) if budget.take() > 0), most)


def stored(folder: Path) -> dict[str, Any]:
    """What the only file in the folder holds."""
    (file,) = folder.iterdir()
    found: dict[str, Any] = json.loads(file.read_text())
    return found
