"""A daemon under a market that goes on, a provider with faults, and death now and then.

Candles of a second, so that every run finds something new. Used by tests/daemon for some seconds,
and by bench/soak.py for as long as one likes.
"""

import contextlib
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from tests.conftest import source_at
from tests.loopback import Asked, Loopback, Says

SECOND_MS: Final = 1000
SCHEDULE_S: Final = 2
SYMBOLS: Final = ("BTCUSDT", "ETHUSDT")
OUTAGE: Final = 7
"""Every so many minutes there is a minute in which no candle was made from second 20 to 30."""


def halted(opened: int) -> bool:
    """Whether no candle opened then, for nobody traded."""
    minute, second = divmod(opened // SECOND_MS, 60)
    return minute % OUTAGE == 0 and 20 <= second < 30


def price(symbol: str, opened: int) -> float:
    return 100 + opened // SECOND_MS % 1000 + SYMBOLS.index(symbol)


class Market:
    """Answers as Binance does; every fifth answer or so is a fault, while it is `faulty`."""

    def __init__(self, seed: int) -> None:
        self.faulty = True
        self._dice = random.Random(seed)
        self._lock = threading.Lock()

    def __call__(self, asked: Asked) -> Says:
        with self._lock:
            fault = self._dice.randrange(20) if self.faulty else 19
        start = -(-int(asked.query["startTime"]) // SECOND_MS) * SECOND_MS
        end = int(asked.query.get("endTime", 2**53))
        now = int(time.time() * 1000)
        rows: list[list[object]] = []
        for opened in range(start, min(end, now) + 1, SECOND_MS):
            if not halted(opened) and len(rows) < 1000:
                value = str(price(asked.query["symbol"], opened))
                rows.append([opened, *[value] * 4, "1", opened + 999, value, 1, "1", value, "0"])
        body = json.dumps(rows).encode()
        match fault:
            case 0:
                return Says(b"down", 503)
            case 1:
                return Says(b'{"code":-1003,"msg":"slow"}', 429, {"Retry-After": "1"})
            case 2:
                return Says(body[: len(body) // 2])
            case 3:
                return Says(body[: len(body) // 2], declared=len(body))
            case _:
                return Says(body)


class Run(NamedTuple):
    """A row of the audit trail, ms; `ended` is None for a run that was killed."""

    started: int
    ended: int | None


class Soak(NamedTuple):
    """What was seen. Memory in KiB and descriptors, at the first third and at the end."""

    deaths: int
    runs: list[Run]
    memory: tuple[int, int]
    descriptors: tuple[int, int]
    stored: dict[str, list[tuple[int, float]]]
    gaps: list[str]
    integrity: str
    left: tuple[int, int]


class Daemon:
    """The process under soak."""

    def __init__(self, place: Path, environ: dict[str, str]) -> None:
        self._place = place
        self._environ = environ
        self.process = self._started()

    def _started(self) -> "subprocess.Popen[bytes]":
        with (self._place / "daemon.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "histq", "daemon"],
                cwd=self._place,
                env=self._environ,
                stderr=log,
            )

    def die_and_rise(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process = self._started()

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def memory_kib(self) -> int:
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


def settings(server: Loopback, environ: dict[str, str]) -> dict[str, str]:
    return {
        **environ,
        **source_at("binance", server.url, max_wait_s=5),
        "HISTQ_SOURCES__BINANCE__INTERVALS": '["1s"]',
        "HISTQ_SOURCES__COINGECKO__ENABLED": "false",
        "HISTQ_SOURCES__CRYPTOCOMPARE__ENABLED": "false",
        "HISTQ_TOKENS": '[{"base": "BTC"}, {"base": "ETH"}]',
        "HISTQ_DAEMON__SCHEDULE": f"{SCHEDULE_S}s",
        "HISTQ_DAEMON__JITTER_S": "0",
        "HISTQ_DAEMON__REPAIR": "5s",
        "HISTQ_DAEMON__RECHECK": "",
        "HISTQ_DAEMON__MAINTAIN": "7s",
        "HISTQ_DAEMON__PRUNE": "11s",
        "HISTQ_GAPS__CONFIRM_AFTER_S": "1",
    }


def soak(place: Path, environ: dict[str, str], seconds: float, deaths: int, seed: int) -> Soak:
    """Runs the daemon for so long, kills it so often, then lets it end in peace."""
    market, dice = Market(seed), random.Random(seed)
    with Loopback(market) as server:
        environ = settings(server, environ)
        since = int(time.time()) - 30
        first = [sys.executable, "-m", "histq", "fetch", "-q", "--from", _date(since)]
        subprocess.run(first, cwd=place, env=environ, stderr=subprocess.DEVNULL, check=False)
        began = time.monotonic()
        # All in the first third, so that memory is compared within one life.
        moments = sorted(dice.uniform(1, seconds / 3) for _ in range(deaths))
        daemon = Daemon(place, environ)
        try:
            for moment in moments:
                time.sleep(max(0.0, began + moment - time.monotonic()))
                daemon.die_and_rise()
            time.sleep(max(0.0, began + seconds * 2 / 3 - time.monotonic()))
            before = daemon.memory_kib(), daemon.descriptors()
            time.sleep(max(0.0, began + seconds - 3 * SCHEDULE_S - time.monotonic()))
            market.faulty = False
            time.sleep(3 * SCHEDULE_S)
            after = daemon.memory_kib(), daemon.descriptors()
            code = daemon.end()
        finally:
            daemon.process.kill()
        if code != 143:
            raise RuntimeError(f"the daemon ended with {code}")
        for command in ("repair", "consume"):
            ended = [sys.executable, "-m", "histq", command, "-q"]
            subprocess.run(ended, cwd=place, env=environ, check=False, stdout=subprocess.DEVNULL)
        gaps = _gaps(place, environ)
    memory, descriptors = zip(before, after, strict=True)
    return _seen(place, len(moments), memory, descriptors, gaps)


def _date(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def _gaps(place: Path, environ: dict[str, str]) -> list[str]:
    """Why each hole that is left is one, but for those in which nobody traded."""
    command = [sys.executable, "-m", "histq", "gaps", "--json"]
    told = subprocess.run(command, cwd=place, env=environ, stdout=subprocess.PIPE, check=False)
    found = json.loads(told.stdout)["gaps"]
    return [gap["why"] for gap in found if not gap["explained"]]


def _seen(
    place: Path,
    deaths: int,
    memory: tuple[int, int],
    descriptors: tuple[int, int],
    gaps: list[str],
) -> Soak:
    with _reading(place / "histq.db") as database:
        runs = database.execute(
            "select started_at, ended_at from runs where command = 'daemon fetch binance'"
            " order by id"
        ).fetchall()
        stored = {
            symbol: database.execute(
                "select timestamp, close from historical_prices where symbol = ?"
                " order by timestamp",
                (symbol,),
            ).fetchall()
            for symbol in SYMBOLS
        }
        (integrity,) = database.execute("pragma integrity_check").fetchone()
        left = database.execute(
            "select (select count(*) from messages), (select count(*) from dead_letters)"
        ).fetchone()
    return Soak(
        deaths, [Run(*run) for run in runs], memory, descriptors, stored, gaps, integrity, left
    )


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    database = sqlite3.connect(path)
    try:
        yield database
    finally:
        database.close()


def wrong(soaked: Soak) -> list[str]:
    """What is not as it should be; nothing where all is well."""
    found = []
    for symbol, rows in soaked.stored.items():
        times = range(rows[0][0], rows[-1][0] + SECOND_MS, SECOND_MS)
        expected = [(opened, price(symbol, opened)) for opened in times if not halted(opened)]
        if rows != expected:
            found.append(f"{symbol}: {len(rows)} rows, expected {len(expected)}")
    # A body that was no candles is a dead letter until its window is answered.
    if soaked.left != (0, 0):
        found.append(f"left (messages, dead letters): {soaked.left}")
    if soaked.gaps:
        found.append(f"holes without a reason: {soaked.gaps}")
    if soaked.integrity != "ok":
        found.append(f"integrity_check: {soaked.integrity}")
    before, after = soaked.memory
    if after > before * 1.1 + 8_192:
        found.append(f"memory grew from {before} to {after} KiB")
    before, after = soaked.descriptors
    if after > before + 12:
        found.append(f"descriptors grew from {before} to {after}")
    return found + list(_doubled(soaked.runs))


def _doubled(runs: list[Run]) -> Iterator[str]:
    killed = sum(run.ended is None for run in runs)
    if killed == len(runs):
        yield "no run came to its end"
    for one, other in pairwise(runs):
        if one.ended is not None and other.started < one.ended:
            yield f"two runs at once: {one} and {other}"
