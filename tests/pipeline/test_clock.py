"""A clock that steps back and forth by an hour while a consumer works."""

import itertools
import threading
from pathlib import Path

from histq.host import wall_clock
from histq.model import HOUR_MS, Candle
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.consume import ConsumeJob, consume
from histq.pipeline.runs import RunLog
from histq.queues.sqlite import SqliteQueue
from histq.stop import Stop
from tests.audit import state
from tests.pipeline import Quiet, candle, configured, draft


class Stepping:
    """Says another hour each time that it is asked: this one, the next, this one, the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._steps = itertools.cycle((0, HOUR_MS, 0, -HOUR_MS))

    def __call__(self) -> int:
        with self._lock:
            return wall_clock() + next(self._steps)


CLOCK = Stepping()


class SteppingOpener(Opener):
    """Opens the queue with that clock."""

    def open(self, *, create: bool) -> Backends:
        opened = Opener(self.settings, self.owner).open(create=create)
        return opened._replace(queue=SqliteQueue(opened.database, owner=self.owner, clock=CLOCK))


def test_a_clock_that_steps_while_a_consumer_works_costs_nothing(tmp_path: Path) -> None:
    opener = configured(tmp_path, lease_s=60, batch_size=2)
    bad = Candle(candle(40).timestamp, high=1.0, low=2.0, close=1.5)
    pages = [draft([candle(slot), candle(slot + 1)], slots=slot + 2) for slot in range(0, 40, 2)]
    with opener.open(create=True) as backends:
        backends.queue.put([*pages, draft([bad], slots=41)])

    runs = RunLog("consume", opener.owner)
    job = ConsumeJob(SteppingOpener(*opener), 2, runs, Stop(), Quiet(), wait=False, clock=CLOCK)
    while consume(job).left:
        pass

    found = state(tmp_path / "histq.db")
    assert len(found["prices"]) == 40
    assert [letter[5] for letter in found["letters"]] == ["high is below low"]
    assert found["messages"] == []
