"""The lines of the log that tell how the work goes: a batch, a page, a series, a source."""

import logging
from collections import Counter
from collections.abc import Iterable
from typing import Final

from histq.errors import HistqError
from histq.model import Series, Window, iso
from histq.pipeline.record import Kept
from histq.pipeline.reports import ConsumeReport, SourceReport

logger: Final = logging.getLogger(__name__)


def log_batch(url: str, report: ConsumeReport, ms: float, error: HistqError | None) -> None:
    """A batch of the queue at `url`. Failed points are those that died and those that come back."""
    failed = report.dead + report.retried
    success_rate = 1 - failed / report.points if report.points else 1.0
    logger.info(
        "batch queue=%s messages=%d points=%d inserted=%d duplicates=%d revised=%d failed=%d"
        " success_rate=%.4f ms=%.1f error=%s",
        url.partition(":")[0] or "sqlite",  # a password may stand in the rest
        report.messages,
        report.points,
        report.inserted,
        report.duplicates,
        report.revised,
        failed,
        success_rate,
        ms,
        error,
    )


class SeriesLines:
    """What came of each series of a source; a line a series once nothing of it is under way."""

    def __init__(self) -> None:
        self._open: dict[Series, Counter[str]] = {}

    def kept(self, series: Series, window: Window, kept: Kept) -> None:
        start, end = (iso(instant) for instant in window)
        logger.debug(
            "page series=%s start=%s end=%s messages=%d points=%d",
            *(series, start, end, kept.messages, kept.points),
        )
        self._of(series).update(pages=1, messages=kept.messages, points=kept.points)

    def failed(self, series: Series) -> None:
        self._of(series).update(failed=1)

    def done(self, under_way: Iterable[Series] = ()) -> None:
        """Tells of those that are not under way any more."""
        for series in self._open.keys() - set(under_way):
            counts = self._open.pop(series)
            logger.info(
                "series series=%s pages=%d messages=%d points=%d failed_windows=%d",
                *(series, counts["pages"], counts["messages"], counts["points"], counts["failed"]),
            )

    def _of(self, series: Series) -> Counter[str]:
        return self._open.setdefault(series, Counter())


def log_source(report: SourceReport, failures: int) -> None:
    logger.info(
        "source source=%s requests=%d messages=%d points=%d failures=%d ms=%d",
        *(report.source, report.requests, report.queued_messages, report.queued_points),
        *(failures, report.elapsed_ms),
    )
