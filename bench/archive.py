"""A million one-minute candles from the archive: python -m bench.archive.

`histq fetch` and `histq consume` as whole processes, from a copy of Binance's public archive on
loopback: a zip a month with its CHECKSUM, times in milliseconds before 2025 and microseconds from
then on. The API is served beside it; what each was asked for is told.
"""

import calendar
import contextlib
import functools
import hashlib
import multiprocessing
import sqlite3
import statistics
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

from bench.candles import MINUTE_MS, klines, row
from bench.measure import MEMORY_MB, Ended, at_least, at_most, environ, machine, run
from bench.serving import Served
from tests.loopback import Asked, Says

ROUNDS: Final = 3
LATENCY_S: Final = 0.05
MONTHS: Final = [(2023 + (6 + i) // 12, (6 + i) % 12 + 1) for i in range(23)]  # 2023-07 to 2025-05
FETCH: Final = "fetch -q BTC -s binance -i 1m --from 2023-07-01 --to 2025-06-01"
MICROSECONDS_FROM_YEAR: Final = 2025
FOLDER: Final = "data/spot/monthly/klines/BTCUSDT/1m"
RATE: Final = 100_000


class Round(NamedTuple):
    fetch: Ended
    consume: Ended
    asked: Counter[str]


def publish(root: Path) -> int:
    """Writes the archive's months; how many candles they hold."""
    folder = root / FOLDER
    folder.mkdir(parents=True)
    return sum(_month(folder, year, month) for year, month in MONTHS)


def _month(folder: Path, year: int, month: int) -> int:
    name = f"BTCUSDT-1m-{year}-{month:02}"
    first = calendar.timegm((year, month, 1, 0, 0, 0)) * 1000
    count = calendar.monthrange(year, month)[1] * 24 * 60
    scale = 1000 if year >= MICROSECONDS_FROM_YEAR else 1
    lines = []
    for opened in range(first, first + count * MINUTE_MS, MINUTE_MS):
        candle = row(opened)
        candle[0] *= scale
        candle[6] = (candle[6] + 1) * scale - 1
        lines.append(",".join(map(str, candle)) + "\n")
    path = folder / f"{name}.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        packed.writestr(f"{name}.csv", "".join(lines))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / f"{name}.zip.CHECKSUM").write_text(f"{digest}  {name}.zip\n")
    return count


def binance(root: Path, asked: Asked) -> Says:
    """A file of the archive, or a page of the API, after a while."""
    time.sleep(LATENCY_S)
    if asked.path == "/api/v3/klines":
        return klines(asked)
    path = root / asked.path.lstrip("/")
    if ".." in path.parts or not path.is_file():
        return Says(b"", status=404)
    return Says(path.read_bytes())


def kind(root: Path, asked: Asked) -> str:
    """What sort of answer the request got."""
    if asked.path.startswith("/api/"):
        return "API page" if asked.path == "/api/v3/klines" else "404"
    if not (root / asked.path.lstrip("/")).is_file():
        return "404"
    return "CHECKSUM" if asked.path.endswith(".CHECKSUM") else "zip"


def measured(server: Served, root: Path, folder: Path, points: int) -> Round:
    """One round. Raises SystemExit where a candle is missing."""
    surroundings = environ(
        folder,
        sources__binance__base_url=server.url,
        sources__binance_archive__base_url=server.url,
    )
    fetch = run("histq", *FETCH.split(), cwd=folder, environ=surroundings)
    consume = run("histq", "consume", "-q", cwd=folder, environ=surroundings)
    with contextlib.closing(sqlite3.connect(folder / "histq.db")) as connection:
        ((stored, first, last),) = connection.execute(
            "select count(*), min(timestamp), max(timestamp) from prices"
        )
    if stored != points or last - first != (points - 1) * MINUTE_MS:
        raise SystemExit(f"stored {stored} of {points} candles: no figure is worth this")
    return Round(fetch, consume, Counter(kind(root, asked) for asked in server.asked()))


def main() -> None:
    """Prints the medians, and what was asked for."""
    print(f"{machine()}: medians of {ROUNDS} rounds")
    with tempfile.TemporaryDirectory() as archive:
        root = Path(archive)
        # What publishing takes must not count as the memory of the processes begun from here.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as publisher:
            points = publisher.submit(publish, root).result()
        print(f"{points:,} candles in {len(MONTHS)} months, {LATENCY_S * 1000:.0f} ms a request")
        found = []
        with Served(functools.partial(binance, root)) as server:
            for _ in range(ROUNDS):
                with tempfile.TemporaryDirectory() as name:
                    found.append(measured(server, root, Path(name), points))
    _show(found, points)


def _show(found: Sequence[Round], points: int) -> None:
    told = ", ".join(f"{count} x {what}" for what, count in sorted(found[-1].asked.items()))
    print(f"answered: {told}")
    print(f"{'':10}{'seconds':>9}{'candles/s':>12}{'peak, MB':>10}")
    peaks = []
    for name, ended in (
        ("fetch", [each.fetch for each in found]),
        ("consume", [each.consume for each in found]),
    ):
        seconds = statistics.median(each.seconds for each in ended)
        peaks.append(max(each.peak_mb for each in ended))
        print(f"{name:10}{seconds:>9.2f}{points / seconds:>12,.0f}{peaks[-1]:>10.0f}")
    both_s = statistics.median(each.fetch.seconds + each.consume.seconds for each in found)
    at_least("fetch and consume", points / both_s, RATE, " candles/s")
    at_most("memory of a histq process", max(peaks), MEMORY_MB, " MB")


if __name__ == "__main__":
    main()
