"""The daemon under a faulty provider and death, for seconds; bench/soak.py is the long form."""

import random
from pathlib import Path

from tests.soaking import SCHEDULE_S, soak, wrong

SECONDS = 18


def test_a_daemon_that_is_killed_now_and_then_misses_and_doubles_nothing(
    place: Path, environ: dict[str, str]
) -> None:
    seen = soak(place, environ, SECONDS, deaths=3, seed=random.Random(5).randrange(1000))

    assert wrong(seen) == []
    assert seen.deaths == 3
    # A run every two seconds but for the time that three starts take.
    assert len(seen.runs) >= SECONDS / SCHEDULE_S / 3
    assert len(seen.stored["BTCUSDT"]) >= SECONDS
