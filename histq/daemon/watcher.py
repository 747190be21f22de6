"""What the pipeline tells while nobody watches: lines in the log."""

import logging

from histq.model import Series
from histq.pipeline.reports import ConsumeReport

logger = logging.getLogger(__name__)


class LogWatcher:
    """Looks on at fetches and at the consumer, by several threads at once."""

    def planned(self, series: Series, slots: int) -> None:
        if slots > 0:
            logger.debug("series=%s planned=%d", series, slots)

    def answered(self, series: Series, slots: int, reached: int) -> None:
        logger.debug("series=%s answered=%d reached=%d", series, slots, reached)

    def retrying(self, source: str, why: str, wait_s: float) -> None:
        logger.info("source=%s retrying_in_s=%.1f: %s", source, wait_s, why)

    def failed(self, source: str, why: str) -> None:
        logger.warning("source=%s: %s", source, why)

    def waiting(self, why: str) -> None:
        logger.info("%s", why)

    def waiting_points(self, points: int) -> None:
        logger.debug("queued=%d", points)

    def stored(self, report: ConsumeReport) -> None:
        logger.debug("stored=%d dead=%d", report.inserted, report.dead)

    def idle(self, why: str) -> None:
        logger.debug("%s", why)
