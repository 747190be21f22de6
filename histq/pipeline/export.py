"""Export: the chosen series, streamed out of the store, into a file that is whole or not there."""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

from histq import __version__, parquet
from histq.errors import Config, DiskFull, HistqError, Usage
from histq.export import (
    Bucket,
    Fill,
    Format,
    Row,
    fill,
    lines,
    refuse_filling,
    refuse_resampling,
    resample,
)
from histq.model import Candle, Interval, Series, Window
from histq.pipeline.audit import Tell
from histq.pipeline.reading import Reading, untold
from histq.place import to_disk
from histq.stop import Stop
from histq.stores import Store


class Shape(NamedTuple):
    """What is wanted of each series. `coarse` is None where it stays as it is."""

    window: Window
    format: Format = Format.CSV
    fill: Fill = Fill.NONE
    coarse: Interval | None = None
    incomplete: bool = False


class Export:
    """Some series on their way out; counts what passes. Raises Usage for what cannot be shaped."""

    def __init__(self, store: Store, chosen: Sequence[Series], shape: Shape) -> None:
        self._store = store
        self._chosen = chosen
        self._shape = shape
        self.rows = 0
        self.left_out = 0
        _refuse(chosen, shape)
        if shape.format is Format.PARQUET:
            parquet.refuse_without_pyarrow()

    def write(self, out: BinaryIO, stop: Stop, tell: Tell = untold) -> None:
        """Writes every row. Raises Stopped when the stop comes, in the middle of it."""
        marked = self._shape.fill is not Fill.NONE
        reading = Reading(self._store, tell)
        for series in self._chosen:
            reading.expect(series, self._shape.window)
        rows = self._all_rows(reading, stop)
        if self._shape.format is Format.PARQUET:
            parquet.write(rows, out, marked=marked, provenance=self._provenance())
        else:
            for line in lines(rows, self._shape.format, marked=marked):
                out.write(line)
        out.flush()

    def _provenance(self) -> dict[str, object]:
        """What a file that can tell says of its making; nothing that differs between two runs."""
        coarse = self._shape.coarse
        return {
            "version": __version__,
            "series": [str(series) for series in self._chosen],
            "resample": coarse and coarse.name,
            "fill": self._shape.fill,
        }

    def _all_rows(self, reading: Reading, stop: Stop) -> Iterator[Row]:
        for series in self._chosen:
            named = _named(series, self._shape.coarse)
            candles = self._candles(reading, series)
            for candle, filled in fill(candles, Interval(named.interval), self._shape.fill):
                if stop:
                    raise stop.stopped("stopped while exporting")
                self.rows += 1
                yield Row(named, candle, filled)

    def _candles(self, reading: Reading, series: Series) -> Iterator[Candle]:
        candles = reading.candles(series, self._shape.window, f"exporting {series}")
        if self._shape.coarse is None:
            return candles
        return self._kept(resample(candles, Interval(series.interval), self._shape.coarse))

    def _kept(self, buckets: Iterator[Bucket]) -> Iterator[Candle]:
        for candle, complete in buckets:
            if complete or self._shape.incomplete:
                yield candle
            else:
                self.left_out += 1


def _named(series: Series, coarse: Interval | None) -> Series:
    return series if coarse is None else series._replace(interval=coarse.name)


def _refuse(chosen: Sequence[Series], shape: Shape) -> None:
    if shape.coarse is not None:
        _refuse_resampling(chosen, shape.coarse)
    elif shape.fill is not Fill.NONE:
        for series in chosen:
            refuse_filling(series)


def _refuse_resampling(chosen: Sequence[Series], coarse: Interval) -> None:
    """Also what would put two series under one name, where no reader could tell them apart."""
    seen: dict[Series, Series] = {}
    for series in chosen:
        refuse_resampling(series, coarse)
        other = seen.setdefault(_named(series, coarse), series)
        if other != series:
            raise Usage(f"{other} and {series} both become {coarse.name}; choose one with -i")


def refuse_replacing(file: Path, *, force: bool, databases: Sequence[Path]) -> None:
    """Raises Usage where `file` cannot be written, or must not be."""
    if file.is_dir():
        raise Usage(f"{file} is a folder; name a file in it")
    if not file.parent.is_dir():
        raise Usage(f"there is no folder {file.parent}; make it first, or name another with -o")
    if any(path.exists() and file.exists() and file.samefile(path) for path in databases):
        raise Usage(f"{file} is the database itself; name another file with -o")
    if file.is_file() and not force:
        raise Usage(f"{file} exists already; --force replaces it")


@contextlib.contextmanager
def replacing(file: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `file` once it is whole and on disk; on any error none.

    A device or a pipe is written as it is. Raises Config or DiskFull where it cannot be written.
    """
    with translated(str(file)):
        if file.exists() and not file.is_file():
            with file.open("wb") as out:
                yield out
        else:
            # Through a link its target is replaced, not the link.
            with _beside(file.resolve()) as out:
                yield out


@contextlib.contextmanager
def _beside(file: Path) -> Iterator[BinaryIO]:
    temporary = file.with_name(f".{file.name}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
    to_disk(file.parent)  # the new name too, not only the bytes


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Makes an error of the system, met while writing to `name`, one of ours."""
    try:
        yield
    except BrokenPipeError:  # the reader has had enough, which is no error
        raise
    except OSError as error:
        raise _sorted(error, name) from error


def _sorted(error: OSError, name: str) -> HistqError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return DiskFull(f"writing {name}: {error.strerror}; free some room and export again")
    return Config(f"writing {name}: {error.strerror}; name a file that you may write with -o")
