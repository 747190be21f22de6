"""The algebra of spans: put new knowledge over old. Pure; the stores keep what comes out."""

from collections.abc import Iterable, Sequence

from histq.model import Span


def overlay(known: Sequence[Span], news: Iterable[Span]) -> list[Span]:
    """`known` with `news` over it, in order, later ones over earlier ones; touching equals merged.

    Both inputs are half-open; `known` is ordered and free of overlaps, and so is the result.
    """
    spans = list(known)
    for new in news:
        if new.start < new.end:
            spans = [*_without(spans, new), new]
    return merge(spans)


def _without(spans: Iterable[Span], hole: Span) -> Iterable[Span]:
    for span in spans:
        if span.end <= hole.start or hole.end <= span.start:
            yield span
            continue
        if span.start < hole.start:
            yield span._replace(end=hole.start)
        if hole.end < span.end:
            yield span._replace(start=hole.end)


def merge(spans: Iterable[Span]) -> list[Span]:
    """In order, neighbours that touch and say the same made one."""
    merged: list[Span] = []
    for span in sorted(spans):
        if merged and merged[-1].end == span.start and merged[-1][2:] == span[2:]:
            merged[-1] = merged[-1]._replace(end=span.end)
        else:
            merged.append(span)
    return merged
