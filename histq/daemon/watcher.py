"""What the pipeline tells while nobody watches: lines in the log."""

import logging

from histq.model import Series
from histq.pipeline.reports import ConsumeReport

logger = logging.getLogger(__name__)


class LogWatcher:
    """Looks on at fetches and at the consumer, by several threads at once."""

    def planned(self, series: Series, slots: int) -> None:
        if slots > 0:
            logger.debug("planned series=%s slots=%d", series, slots)

    def answered(self, series: Series, slots: int, reached: int) -> None:
        logger.debug("answered series=%s slots=%d reached=%d", series, slots, reached)

    def retrying(self, source: str, why: str, wait_s: float) -> None:
        logger.info("retrying source=%s wait_s=%.1f error=%s", source, wait_s, why)

    def failed(self, source: str, why: str) -> None:
        logger.warning("failed source=%s error=%s", source, why)

    def waiting(self, why: str) -> None:
        logger.info("waiting why=%s", why)

    def waiting_points(self, points: int) -> None:
        logger.debug("queued points=%d", points)

    def stored(self, report: ConsumeReport) -> None:
        logger.debug("stored points=%d dead=%d", report.inserted, report.dead)

    def idle(self, why: str) -> None:
        logger.debug("idle why=%s", why)
