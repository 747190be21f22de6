"""A database that a real lookout watches, with real receivers and a clock of the test's own."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

from histq.budget import Budget
from histq.config import load
from histq.daemon.facts import Facts
from histq.daemon.jobs import Surroundings, scheduled
from histq.daemon.lookout import Lookout
from histq.daemon.turns import Job, Outcome, Turns
from histq.db import Database
from histq.http import open_budget
from histq.locks import NamedLocks
from histq.model import Draft
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.consume import ConsumeJob, consume
from histq.pipeline.runs import RunLog
from histq.place import beside
from histq.providers import providers
from histq.queues.sqlite import SqliteQueue
from histq.stop import Stop
from histq.stores import Store
from histq.stores.sqlite import SqliteStore
from tests.alerts.receivers import MailReceiver, WebReceiver
from tests.loopback import Asked, Says
from tests.pipeline import HOUR, START, Quiet

NOON: Final = START + 9 * 24 * HOUR + 12 * HOUR  # 2024-01-10T12:00Z
OWNER: Final = "host:boot:1:0:test"
FETCH: Final = "fetch binance"
PATIENCE_S: Final = 30.0
POLL_S: Final = 0.005

Told = list[tuple[str, str]]
"""(start or end, subject) in the order of coming."""


class HandClock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += round(seconds * 1000)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(POLL_S)


def settings_tree(folder: Path, hook: WebReceiver, post: MailReceiver) -> dict[str, Any]:
    """One series, of a source that is asked once and not again."""
    return {
        "database": {"path": str(folder / "histq.db"), "min_free_bytes": 0},
        "alerts": {
            "webhook_url": f"{hook.url}/hook",
            "smtp_url": f"smtp://{post.place}",
            "smtp_starttls": False,
            "mail_from": "histq@example.com",
            "mail_to": ["ops@example.com"],
        },
        "queue": {},
        "tokens": [{"base": "BTC", "coingecko_id": "bitcoin"}],
        "sources": {
            "binance": {"max_wait_s": 0, "requests_per_minute": 100_000},
            "coingecko": {"enabled": False},
        },
    }


class Provider:
    """Says of every hour that there was a candle, unless it has something else to say."""

    def __init__(self) -> None:
        self.clock: HandClock | None = None
        self.instead: Says | None = None

    def __call__(self, asked: Asked) -> Says:
        now = None if self.clock is None else self.clock.now
        if self.instead is not None:
            return self.instead._replace(now=now)
        start, end = int(asked.query["startTime"]), int(asked.query["endTime"])
        rows = [
            [opened, "2", "9", "1", "2", "5", opened + HOUR - 1, "10", 7, "5", "17", "0"]
            for opened in range(-(-start // HOUR) * HOUR, end + 1, HOUR)
        ]
        return Says(json.dumps(rows[:1000]).encode(), now=now)


class Watched:
    """What a daemon has about it; the clock stands still between the looks.

    `change` has a say in the settings, `make_store` makes the store.
    """

    def __init__(
        self,
        folder: Path,
        hook: WebReceiver,
        post: MailReceiver,
        change: Callable[[dict[str, Any]], None] = lambda tree: None,
        make_store: Callable[[Database, HandClock], Store] | None = None,
    ) -> None:
        tree = settings_tree(folder, hook, post)
        change(tree)
        self.hook, self.post = hook, post
        self.clock = HandClock()
        self.facts = Facts()
        self.opener = _timed(Opener(load(tree, plain=True).settings, OWNER), self.clock, make_store)
        self._state_folder = folder / "state"
        self._lookout = self._started()

    def _started(self) -> Lookout:
        self.opener.open(create=True).close()  # as a daemon does before anything else
        self._locks = NamedLocks(beside(self.opener.path, "fetch"))
        self.around = Surroundings(
            self.opener, self._state_folder, self._locks, self.facts, self.clock
        )
        self.jobs = {one.job.name: one.job for one in scheduled(self.around)}
        lookout = Lookout(self.around, list(self.jobs), every_s=0)
        lookout.start()
        return lookout

    def restart(self) -> None:
        """As another process, which has heard of nothing."""
        self.close()
        self.facts = Facts()
        self._lookout = self._started()

    def renew(self, jobs: Sequence[str]) -> None:
        """As the same process, whose new settings ask for these jobs."""
        self._lookout.close()
        self._lookout = Lookout(self.around, jobs, every_s=0)
        self._lookout.start()

    def close(self) -> None:
        self._lookout.close()
        self._locks.close()

    def look(self, *after_s: float) -> None:
        """Looks after each of these times, or once."""
        for seconds in after_s or (0,):
            self.clock.forward(seconds)
            self._lookout.look()

    def run(self, job: Job | None = None) -> Outcome:
        """One run of that job; of the fetch where none is given."""
        return Turns(job or self.jobs[FETCH], self.facts, Stop()).run_once()

    def put(self, *drafts: Draft) -> None:
        with self.opener.open(create=False) as backends:
            assert backends.queue.put(drafts) == len(drafts)

    def consume(self) -> None:
        """Stores what is ready."""
        runs = RunLog("consume", OWNER)
        consume(ConsumeJob(self.opener, 2, runs, Stop(), Quiet(), wait=False, clock=self.clock))

    def budget(self, name: str) -> Budget:
        source = self.opener.settings.sources[name]
        return open_budget(providers()[name], source, self._state_folder, clock=self.clock)

    @property
    def counted(self) -> dict[str, int]:
        """How many of each condition hold, as the metrics say."""
        return dict(self._lookout.alerts)

    def told(self, name: str, least: int = 0) -> Told:
        """What both receivers took, which is the same, once it is so much and no more is to come.

        What is to come from a database that fails cannot be known.
        """
        until(lambda: min(len(self._posted(name)), len(self._mailed(name))) >= least)
        if not self.counted.get("database_failing"):
            self._lookout.wait_told()
        found = [(one["state"], one["subject"]) for one in self._posted(name)]
        assert self._mailed(name) == found
        return found

    def _posted(self, name: str) -> list[dict[str, str]]:
        found = [json.loads(one.body) for one in self.hook.inbox.all]
        return [one for one in found if one["name"] == name]

    def _mailed(self, name: str) -> Told:
        # [histq] critical: disk_low disk (host, environment); a subject may be of several words
        found = [str(one.message["subject"]).split() for one in self.post.inbox.all]
        return [
            ("end" if state == "over:" else "start", " ".join(rest).partition(" (")[0])
            for _, state, named, *rest in found
            if named == name
        ]

    def begun(self, name: str, subject: str) -> str:
        """That it was told to begin, once, however often is looked; what was said."""
        self.look(0, 1, 1)
        assert self.told(name, 1) == [("start", subject)]
        assert self.counted[name] == 1
        return self._posted(name)[0]["text"]

    def over(self, name: str, subject: str) -> str:
        """That it was told to end, once, however often is looked; what was said."""
        self.look(0, 1, 1)
        assert self.told(name, 2) == [("start", subject), ("end", subject)]
        assert self.counted[name] == 0
        return self._posted(name)[1]["text"]


def _timed(
    opener: Opener, clock: HandClock, make_store: Callable[[Database, HandClock], Store] | None
) -> Opener:
    """Opens a real queue and a real store that go by this clock."""

    class Timed(Opener):
        def open(self, *, create: bool) -> Backends:
            opened = Opener(*self).open(create=create)
            database = opened.database
            queue = SqliteQueue(
                database,
                owner=self.owner,
                max_retries=self.settings.queue.max_retries,
                min_free_bytes=self.settings.database.min_free_bytes,
                clock=clock,
                fraction=lambda: 0,
            )
            made = make_store(database, clock) if make_store else None
            return opened._replace(queue=queue, store=made or SqliteStore(database, clock=clock))

    return Timed(*opener)


Watch = Callable[..., Watched]
