"""What runs under one set of settings: the jobs on their schedules, and the consumer."""

import time
from typing import Final, NamedTuple

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from histq.daemon.consumer import Consumer
from histq.daemon.jobs import Scheduled, Surroundings, row_of, scheduled
from histq.daemon.schedule import next_after, refuse_wrong, trigger
from histq.daemon.turns import Turns
from histq.daemon.watcher import LogWatcher
from histq.stop import Stop

THREADS_A_JOB: Final = 2
"""One runs it, and one may come to say that it is due again."""


class _Planned(NamedTuple):
    """A job's turns, and whether its time has passed while nobody ran it."""

    one: Scheduled
    turns: Turns
    due: bool


class Work:
    """Scheduler and consumer under one set of settings. Raises Config for a wrong schedule."""

    def __init__(self, around: Surroundings, stop: Stop) -> None:
        self._stop = stop.child()
        self._consumer = Consumer(around.opener, LogWatcher(), around.facts, self._stop)
        now = around.clock()
        refuse_wrong(around.settings)
        jobs = scheduled(around)
        with around.opener.open(create=True) as backends:
            last = {one.job.name: backends.store.last_run(row_of(one.job.name)) for one in jobs}
        self._planned = [
            _Planned(
                one,
                Turns(one.job, around.facts, self._stop),
                _missed(one, last[one.job.name], now),
            )
            for one in jobs
        ]
        self._scheduler = BackgroundScheduler(
            timezone="UTC",
            executors={"default": ThreadPoolExecutor(max(1, THREADS_A_JOB * len(self._planned)))},
            job_defaults={
                # A late run is one run, however late and however many it stands for.
                "coalesce": True,
                "misfire_grace_time": None,
                "max_instances": THREADS_A_JOB,
            },
        )
        for planned in self._planned:
            when = trigger(planned.one.schedule, planned.one.jitter_s)
            self._scheduler.add_job(planned.turns, when, name=planned.one.job.name)

    @property
    def turns(self) -> list[Turns]:
        """Those of every job."""
        return [planned.turns for planned in self._planned]

    @property
    def jobs(self) -> list[str]:
        """Their names."""
        return [planned.one.job.name for planned in self._planned]

    @property
    def says(self) -> str:
        names = [f"{p.one.job.name} ({p.one.schedule})" for p in self._planned]
        return ", ".join(["consume", *names])

    @property
    def alive(self) -> bool:
        return self._consumer.alive and self._scheduler.running

    def start(self) -> None:
        self._consumer.start()
        self._scheduler.start()
        for planned in self._planned:
            if planned.due:
                self._scheduler.add_job(planned.turns, name=f"{planned.one.job.name}, at once")

    def retire(self, seconds: float) -> None:
        """Begins nothing any more; the consumer ends, runs under way go on to their end."""
        self._scheduler.shutdown(wait=False)
        self._consumer.end()
        self._consumer.join(seconds)

    def end(self, seconds: float) -> list[str]:
        """Ends all of it within so many seconds; the names of those that did not."""
        deadline = time.monotonic() + seconds
        self._stop.set()
        self._scheduler.shutdown(wait=False)
        busy = [(turns.job.name, turns.join) for turns in self.turns]
        busy.append(("consume", self._consumer.join))
        return [name for name, join in busy if not join(max(0.0, deadline - time.monotonic()))]


def _missed(one: Scheduled, last: int | None, now: int) -> bool:
    """Whether its time has come since it last ran; where it never ran, whether it waits for it."""
    if last is None:
        return one.at_once
    following = next_after(trigger(one.schedule), last)
    return following is not None and following <= now
