"""Fetch and consume at once, in one process."""

import threading
from typing import Final

from histq.pipeline.consume import ConsumeJob, ConsumeWatcher, consume
from histq.pipeline.fetch import FetchJob, fetch
from histq.pipeline.reports import ConsumeReport, FetchReport, SyncReport

POLL_S: Final = 0.02


def sync(job: FetchJob, watcher: ConsumeWatcher, concurrency: int) -> SyncReport:
    """Consumers follow while the fetch runs, then drain the queue. Raises as both do."""
    fetching = _Fetching(job)
    fetching.thread.start()
    while fetching.thread.is_alive() and not job.opener.path.exists():
        fetching.thread.join(POLL_S)  # the first page makes the database; a mistyped symbol none
    if job.opener.path.exists() and not isinstance(fetching.raised, BaseException):
        stored = consume(
            ConsumeJob(
                opener=job.opener,
                concurrency=concurrency,
                runs=job.runs,
                stop=job.stop,
                watcher=watcher,
                more=fetching.thread.is_alive,
            )
        )
    else:
        stored = ConsumeReport()
    fetching.thread.join()
    if fetching.raised is not None:
        raise fetching.raised
    assert fetching.report is not None, "a fetch reports or raises"
    return SyncReport(fetching.report, stored)


class _Fetching:
    def __init__(self, job: FetchJob) -> None:
        self._job = job
        self.report: FetchReport | None = None
        self.raised: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="histq-fetch", daemon=True)

    def _run(self) -> None:
        try:
            self.report = fetch(self._job)
        except BaseException as error:  # the top of a thread: carried to the one that joins it
            self.raised = error
