"""What the commands report: the documents of `--json`, and the exit codes that follow from them."""

import msgspec

from histq.errors import Config, Refused, UnknownMarket

INCOMPLETE = 3


class Skipped(msgspec.Struct, frozen=True):
    """What was not asked for, and why."""

    source: str
    why: str


class Failure(msgspec.Struct, frozen=True):
    """What went wrong; `start` and `end` where it was one window."""

    source: str
    error: str
    exit_code: int
    series: str | None = None
    start: int | None = None
    end: int | None = None


class SourceReport(msgspec.Struct):
    """What one source gave. `succeeded` when it answered, or had nothing to be asked.

    `wanted` when the wish held any slot at all, known or not.
    """

    source: str
    requests: int = 0
    queued_messages: int = 0
    queued_points: int = 0
    elapsed_ms: int = 0
    succeeded: bool = False
    wanted: bool = False


class FetchReport(msgspec.Struct):
    """`start` and `end` as the user gave them; None where nothing was said."""

    requests: int
    queued_messages: int
    queued_points: int
    failed_windows: int
    skipped: list[Skipped]
    elapsed_ms: int
    sources: list[SourceReport]
    failures: list[Failure]
    start: int | None = None
    end: int | None = None

    @property
    def exit_code(self) -> int:
        """0, or what the failures add up to: 5 and 6 only where no source succeeded."""
        codes = {failure.exit_code for failure in self.failures}
        if not codes:
            return 0
        if UnknownMarket.exit_code in codes:
            return UnknownMarket.exit_code
        refusals = codes & {Config.exit_code, Refused.exit_code}
        if refusals and not any(source.succeeded for source in self.sources):
            return min(refusals)
        return INCOMPLETE


class ConsumeReport(msgspec.Struct):
    """points = inserted + duplicates + dead + retried; duplicates = in_batch + stored.

    `left` counts messages that `--no-wait` did not wait for.
    """

    messages: int = 0
    points: int = 0
    unique: int = 0
    inserted: int = 0
    duplicates: int = 0
    duplicates_in_batch: int = 0
    duplicates_stored: int = 0
    revised: int = 0
    dead: int = 0
    retried: int = 0
    left: int = 0
    elapsed_ms: int = 0
    points_per_s: int = 0

    @property
    def exit_code(self) -> int:
        return INCOMPLETE if self.dead or self.left else 0


def add(total: ConsumeReport, more: ConsumeReport) -> None:
    """Adds the figures of `more` to `total`."""
    for name in ConsumeReport.__struct_fields__:
        setattr(total, name, getattr(total, name) + getattr(more, name))


class SyncReport(msgspec.Struct):
    fetch: FetchReport
    consume: ConsumeReport

    @property
    def exit_code(self) -> int:
        """The fetch's, unless that is fine."""
        return self.fetch.exit_code or self.consume.exit_code
