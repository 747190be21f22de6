"""Prices as a Parquet file, by pyarrow, which the extra `parquet` installs.

pandas, polars and DuckDB read it without being told a type: instants are timestamps in UTC, to the
millisecond; figures are doubles and 64-bit integers; what was not told is null.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO, Final

from msgspec.structs import astuple

from histq.errors import Config
from histq.export import COLUMNS, MARK, Row

ROWS_A_GROUP: Final = 65_536
ROWS_A_BATCH: Final = 4_096
"""Rows that are Python objects at a time; a group of them waits in Arrow's own memory."""

_TEXTS: Final = ("source", "symbol", "interval")
_INSTANTS: Final = ("timestamp", "close_time")
_NEVER_NULL: Final = (*_TEXTS, "timestamp", MARK)


def refuse_without_pyarrow() -> None:
    """Raises Config where the extra is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise Config(
            "Parquet needs pyarrow, which is not here; pip install 'histq[parquet]'"
        ) from error


def write(
    rows: Iterable[Row], out: BinaryIO, *, marked: bool, provenance: Mapping[str, object]
) -> None:
    """Writes the rows in groups of bounded size, and `provenance` as JSON under the key `histq`.

    When it raises, `out` has no footer: nobody takes a part for the whole.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(marked).with_metadata({"histq": json.dumps(provenance)})
    gate = _Gate(out)
    # Dictionaries for the names alone: prices hardly repeat, and would outgrow one in every group.
    writer = pq.ParquetWriter(gate, schema, compression="zstd", use_dictionary=list(_TEXTS))
    try:
        for group in _in_groups(_batches(rows, schema)):
            writer.write_table(pa.Table.from_batches(group))
        writer.close()
    except BaseException:
        gate.shut = True
        writer.close()
        raise


class _Gate:
    """The way to the file. pyarrow closes a writer, and so writes a footer, even when it is dropped
    after an error; then nothing passes any more.
    """

    def __init__(self, out: BinaryIO) -> None:
        self._out = out
        self.shut = False
        self.closed = False

    def write(self, content: bytes) -> int:
        return len(content) if self.shut else self._out.write(content)

    def flush(self) -> None:
        if not self.shut:
            self._out.flush()


def _schema(marked: bool) -> Any:
    import pyarrow as pa

    kinds = {
        **dict.fromkeys(_TEXTS, pa.string()),
        **dict.fromkeys(_INSTANTS, pa.timestamp("ms", tz="UTC")),
        "trades": pa.int64(),
        MARK: pa.bool_(),
    }
    columns = (*COLUMNS, MARK) if marked else COLUMNS
    return pa.schema(
        pa.field(name, kinds.get(name, pa.float64()), nullable=name not in _NEVER_NULL)
        for name in columns
    )


def _batches(rows: Iterable[Row], schema: Any) -> Iterator[Any]:
    import pyarrow as pa

    waiting = iter(rows)
    while taken := list(islice(waiting, ROWS_A_BATCH)):
        flat = ((*row.series, *astuple(row.candle), row.filled) for row in taken)
        # Not strict: `filled` has no column where nobody asked for it.
        columns = zip(schema, zip(*flat, strict=True), strict=False)
        yield pa.record_batch(
            [pa.array(values, field.type) for field, values in columns], schema=schema
        )


def _in_groups(batches: Iterator[Any]) -> Iterator[list[Any]]:
    while group := list(islice(batches, ROWS_A_GROUP // ROWS_A_BATCH)):
        yield group
