"""Answers of the daemon over HTTP: python -m bench.web [million rows] [folder].

A real `histq daemon` answers over the file of bench/years.py; it is asked for one path after the
other, in turns, on one connection that is kept. Its jobs never come due, what waits in its queue is
delayed, and its source is a port where nobody listens. The file is laid into a temporary folder, or
into the one that is named, where it is taken as it is if it is there already.

A loop that asks nobody takes its turn too: what it varies by is the machine, not an answer.
"""

import contextlib
import http.client
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from bench.measure import at_most, environ, machine
from bench.years import BATCHES, MILLIONS, SERIES, START, lay, series
from histq.db import Database
from histq.host import wall_clock
from histq.model import DAY_MS, MINUTE_MS
from histq.stores.alerts import Alert, Severity
from histq.stores.sqlite import SqliteStore

ROUNDS: Final = 300
WARM_UP: Final = 30
AIM_MS: Final = 20.0
LIMIT_S: Final = 240.0
PATIENCE_S: Final = 60.0
POLL_S: Final = 0.05
STEPS: Final = 200_000
MONTH_MS: Final = 30 * DAY_MS
NOBODY: Final = "http://127.0.0.1:9"
NEVER: Final = "0 0 29 2 *"
READINESS: Final = "/readyz"


def prepare(path: Path) -> None:
    """What lies there looks as if it were of a daemon at work: batches of the last month, an alert
    a series, a queue. Yet there is nothing to do until tomorrow.
    """
    now, step = wall_clock(), MONTH_MS // BATCHES
    with Database.open(path) as database, database.transaction():
        store = SqliteStore(database)
        store.start_run("daemon fetch binance", "bench")  # one that never ran is due at once
        database.change("update messages set available_at = ?", (now + DAY_MS,))
        database.change(
            "update ingestion_stats set at ="
            " :now + (id - (select max(id) from ingestion_stats)) * :step",
            {"now": now, "step": step},
        )
        known = {alert.subject for alert in store.alerts.open()}
        for subject in sorted({str(series(number)) for number in range(SERIES)} - known):
            text = f"{subject} has nothing after 2024-04-06T23:00Z, and should"
            alert = Alert(0, "series_stale", subject, Severity.WARNING, text, now, started_at=now)
            store.alerts.keep(alert)


def paths(rows: int) -> dict[str, str]:
    """What is asked for, by what it is called in the table."""
    source, symbol, interval = series(SERIES - 1)
    wanted = {"source": source, "symbol": symbol, "interval": interval}
    prices = f"/api/prices?{urlencode(wanted)}"
    deep = f"{prices}&cursor={START + rows // SERIES // 2 * MINUTE_MS}"
    plain = ("/healthz", READINESS, "/metrics", "/api/health", "/api/stats", "/api/series")
    files = ("/", "/assets/dashboard.js", "/assets/dashboard.css")
    return {
        **{path: path for path in (*plain, "/api/queue", "/api/alerts", "/api/coverage")},
        "/api/throughput, a day": "/api/throughput",
        "/api/throughput, 30 days": "/api/throughput?from=30d",
        "/api/prices, the first 500": prices,
        "/api/prices, 500 deep in": deep,
        "/api/prices, 5,000 deep in": f"{deep}&limit=5000",
        **{path: path for path in files},
    }


@contextlib.contextmanager
def daemon(folder: Path) -> Iterator[str]:
    """Where one answers while the block runs: 127.0.0.1:8787. Raises SystemExit where none does."""
    tokens = [{"base": series(number).symbol.removesuffix("USDT")} for number in range(SERIES)]
    settings = environ(
        folder,
        tokens=json.dumps(tokens),
        logs__level="info",
        sources__binance__intervals='["1m"]',
        sources__binance__base_url=NOBODY,
        sources__coingecko__enabled="false",
        sources__cryptocompare__enabled="false",
        daemon__schedule=NEVER,
        **{f"daemon__{job}": "" for job in ("repair", "recheck", "maintain", "prune")},
    )
    log = folder / "daemon.log"
    with log.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "histq", "daemon", "--listen", "127.0.0.1:0"],
            cwd=folder,
            env=settings,
            stderr=written,
        )
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(r"listening address=(http://\S+)", log.read_text()):
            return urlsplit(found[1]).netloc
        time.sleep(POLL_S)
    raise SystemExit(f"no daemon that listens: {log.read_text()}")


class Asker:
    """One connection that is kept, and what came of each question on it."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=PATIENCE_S)
        self._deadline = time.monotonic() + LIMIT_S
        self.times_ms: dict[str, list[float]] = {}
        self.sizes: dict[str, int] = {}
        self.loops_ms: list[float] = []

    def ask(self, about: str, path: str, *, count: bool) -> None:
        """Raises SystemExit where the answer is none, and when all of it has taken too long."""
        began = time.perf_counter()
        self._connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        answer = self._connection.getresponse()
        body = answer.read()
        took_ms = (time.perf_counter() - began) * 1000
        # Of series that ended years ago it says that they are not ready.
        well = 503 if path == READINESS else 200
        if answer.status != well or answer.will_close:
            raise SystemExit(f"{path}: HTTP {answer.status}: {body[:200]!r}")
        if time.monotonic() > self._deadline:
            raise SystemExit(f"not done within {LIMIT_S:.0f} s")
        if count:
            self.times_ms.setdefault(about, []).append(took_ms)
            self.sizes[about] = len(body)

    def loop(self) -> None:
        """Asks nobody."""
        began = time.perf_counter()
        for _ in range(STEPS):
            pass
        self.loops_ms.append((time.perf_counter() - began) * 1000)


def measure(folder: Path, rows: int) -> Asker:
    """Every path, in turns."""
    with daemon(folder) as address:
        asker = Asker(address)
        for number in range(WARM_UP + ROUNDS):
            for about, path in paths(rows).items():
                asker.ask(about, path, count=number >= WARM_UP)
            asker.loop()
    return asker


def _show(found: Asker) -> None:
    marks = {about: _marks(times) for about, times in found.times_ms.items()}
    print(f"\n| ms{' ':28} | median |  95 % |  99 % | kB of answer | at most {AIM_MS:g} |")
    print("|---|---|---|---|---|---|")
    for about, (half, most, nearly_all) in marks.items():
        print(
            f"| {f'`{about}`':30} | {half:6.1f} | {most:5.1f} | {nearly_all:5.1f}"
            f" | {found.sizes[about] / 1000:12,.1f} | {_verdict(half, most)} |"
        )
    print("\nA loop that asks nobody: {:.1f}, {:.1f} and {:.1f} ms".format(*_marks(found.loops_ms)))
    for place, what in enumerate(("median", "95 %")):
        slowest = max(marks, key=lambda about: marks[about][place])
        at_most(f"{what} of the slowest, {slowest}", marks[slowest][place], AIM_MS, " ms")


def _verdict(half: float, most: float) -> str:
    if most <= AIM_MS:
        return "met"
    return "MISSED by some" if half <= AIM_MS else "MISSED"


def _marks(times: Sequence[float]) -> tuple[float, float, float]:
    """Within which half of them, 95 % and 99 % lie."""
    cuts = statistics.quantiles(times, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


def main() -> None:
    """Prints a row a path."""
    rows = int(float(sys.argv[1] if len(sys.argv) > 1 else MILLIONS) * 1_000_000)
    print(f"{machine()}: {ROUNDS} rounds after {WARM_UP} that do not count")
    with contextlib.ExitStack() as kept:
        if len(sys.argv) > 2:
            folder = Path(sys.argv[2])
        else:
            folder = Path(kept.enter_context(tempfile.TemporaryDirectory()))
        path = folder / "histq.db"
        if not path.exists():
            lay(path, rows)
        size = path.stat().st_size / 1e9
        print(f"{rows:,} rows of {SERIES} series, {size:.1f} GB")
        prepare(path)
        found = measure(folder, rows)
    _show(found)
    print(f"load at the end: {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
