"""export --format parquet: what a file holds, and what is refused."""

import json
import os
import pty
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlite_utils.utils import sqlite3

from histq import __version__
from histq.db import Database
from histq.model import FIELDS, Candle
from histq.page import flatten
from histq.stores.sqlite import SqliteStore
from tests.conftest import Histq
from tests.stores import BTC, ETH, page

TOLD = Candle(25 * 3_600_000, 3.0, 4.5, 2.0, 0.1 + 0.2, 10.0, 35.0, 7, 5.0, 17.25, 93_599_998)


@pytest.fixture
def prices(place: Path) -> Path:
    """The hours 0 to 23 and 25 of BTCUSDT, the last with all its figures, and one of ETHUSDT."""
    with Database.open(place / "histq.db") as database:
        store = SqliteStore(database, clock=lambda: 0)
        store.write(BTC, page(*range(24)))
        store.write(BTC, flatten([TOLD]))
        store.write(ETH, page(1))
    return place


def table_rows(database: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as conn:
        return conn.execute(
            f"select source, symbol, interval, {', '.join(FIELDS)} from prices"
            " join series on series.id = series_id order by source, symbol, timestamp"
        ).fetchall()


def file_rows(file: Path) -> list[tuple[object, ...]]:
    table = pq.read_table(file)
    for name in ("timestamp", "close_time"):
        number = table.schema.get_field_index(name)
        table = table.set_column(number, name, table[name].cast(pa.int64()))
    return [tuple(row.values()) for row in table.to_pylist()]


def test_a_file_holds_what_the_table_holds(histq: Histq, prices: Path) -> None:
    ended = histq("export", "-o", "x.parquet")

    assert (ended.code, ended.out, ended.err) == (0, "", "wrote 26 rows to x.parquet\n")
    assert file_rows(prices / "x.parquet") == table_rows(prices / "histq.db")


def test_a_file_tells_which_histq_wrote_which_series(histq: Histq, prices: Path) -> None:
    histq("export", "BTC", "--resample", "1d", "--fill", "null", "-o", "x.parquet")

    told = json.loads(pq.read_schema(prices / "x.parquet").metadata[b"histq"])
    assert told == {
        **{"version": __version__, "series": ["binance/BTCUSDT/1h"]},
        **{"resample": "1d", "fill": "null"},
    }


def test_stdout_takes_it_where_it_is_no_terminal(
    histq: Histq, prices: Path, environ: dict[str, str]
) -> None:
    histq("export", "-o", "x.parquet")

    piped = subprocess.run(
        [sys.executable, "-m", "histq", "export", "--format", "parquet"],
        cwd=prices,
        env=environ,
        capture_output=True,
        check=True,
    )

    assert piped.stdout == (prices / "x.parquet").read_bytes()


def test_a_terminal_is_spared(prices: Path, environ: dict[str, str]) -> None:
    master, terminal = pty.openpty()
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "histq", "export", "--format", "parquet"],
            cwd=prices,
            env=environ,
            stdout=terminal,
            stderr=subprocess.PIPE,
            text=True,
        )
    finally:
        os.close(master)
        os.close(terminal)

    assert ended.returncode == 2
    assert ended.stderr == "histq: Parquet is nothing for a terminal; name a file with -o\n"


def test_without_pyarrow_a_line_says_what_to_install(histq: Histq, prices: Path) -> None:
    # The current folder comes first where Python looks for modules.
    (prices / "pyarrow.py").write_text("raise ModuleNotFoundError('no pyarrow')")

    ended = histq("export", "-o", "x.parquet")

    assert (ended.code, ended.out) == (5, "")
    assert ended.err == (
        "histq: Parquet needs pyarrow, which is not here; pip install 'histq[parquet]'\n"
    )
    assert not (prices / "x.parquet").exists()
    assert histq("export", "-o", "x.csv").code == 0


def test_an_existing_file_is_replaced_only_by_force(histq: Histq, prices: Path) -> None:
    (prices / "x.parquet").write_text("mine")

    refused = histq("export", "-o", "x.parquet")
    kept = (prices / "x.parquet").read_text()
    forced = histq("export", "-o", "x.parquet", "--force")

    assert (refused.code, kept, forced.code) == (2, "mine", 0)
    assert pq.read_metadata(prices / "x.parquet").num_rows == 26


def test_a_full_disk_is_told(histq: Histq, prices: Path) -> None:
    ended = histq("export", "--format", "parquet", "-o", "/dev/full", "--force")

    assert ended.code == 1
    assert ended.err == (
        "histq: writing /dev/full: No space left on device; free some room and export again\n"
    )
