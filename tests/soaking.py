"""A daemon under a market that goes on, a provider with faults, visitors, and death now and then.

Candles of a second, so that every run finds something new; a webhook is told what is wrong. Used by
tests/daemon for some seconds, and by bench/soak.py for as long as one likes.
"""

import contextlib
import json
import random
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from tests.alerts.receivers import Posted, WebReceiver
from tests.conftest import source_at
from tests.loopback import Loopback
from tests.market import SECOND_MS, SYMBOLS, Market, halted, price
from tests.visiting import Visitors

SCHEDULE_S: Final = 2
GROWTH_KIB: Final = 8_192
SAMPLES: Final = 60
"""Looks at memory and descriptors, after the last death."""


class Run(NamedTuple):
    """A row of the audit trail, ms; `ended` is None for a run that was killed."""

    started: int
    ended: int | None


class Sample(NamedTuple):
    """One look at the process, so many seconds after the begin."""

    at_s: float
    memory_kib: int
    descriptors: int


class Told(NamedTuple):
    """What the webhook got: the alert that it is about, and start or end."""

    id: str
    about: str
    state: str


class Soak(NamedTuple):
    """What was seen."""

    deaths: int
    runs: list[Run]
    samples: list[Sample]
    answers: dict[int, int]
    unanswered: int
    odd: list[str]
    bans: int
    told: list[Told]
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

    def sample(self, at_s: float) -> Sample:
        proc = Path(f"/proc/{self.process.pid}")
        lines = (proc / "status").read_text().splitlines()
        memory = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        return Sample(at_s, memory, len(list((proc / "fd").iterdir())))


def settings(
    server: Loopback, hook: WebReceiver, address: str, environ: dict[str, str]
) -> dict[str, str]:
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
        "HISTQ_DAEMON__LISTEN": address,
        "HISTQ_ALERTS__WEBHOOK_URL": hook.url,
        "HISTQ_GAPS__CONFIRM_AFTER_S": "1",
    }


def soak(place: Path, environ: dict[str, str], seconds: float, deaths: int, seed: int) -> Soak:
    """Runs the daemon for so long, kills it so often, then lets it end in peace."""
    market, dice = Market(seed), random.Random(seed)
    with Loopback(market) as server, WebReceiver() as hook:
        address = f"127.0.0.1:{_free_port()}"
        environ = settings(server, hook, address, environ)
        since = int(time.time()) - 30
        _histq(place, environ, "fetch", "--from", _date(since))
        # All in the first third, so that memory is compared within one life.
        moments = sorted(dice.uniform(1, seconds / 3) for _ in range(deaths))
        daemon = Daemon(place, environ)
        try:
            with Visitors(f"http://{address}") as visitors:
                samples = _lived(daemon, market, seconds, moments)
            code = daemon.end()
        finally:
            daemon.process.kill()
        if code != 143:
            raise RuntimeError(f"the daemon ended with {code}")
        for command in ("repair", "consume"):
            _histq(place, environ, command)
        gaps = _gaps(place, environ)
        told = [_told(posted) for posted in hook.inbox.all]
    runs, stored, integrity, left = _seen(place)
    return Soak(
        len(moments),
        runs,
        samples,
        dict(visitors.answers),
        visitors.unanswered,
        visitors.odd,
        market.bans,
        told,
        stored,
        gaps,
        integrity,
        left,
    )


def _lived(daemon: Daemon, market: Market, seconds: float, moments: list[float]) -> list[Sample]:
    """So many seconds of its life, with a death at each of the moments; the last are peaceful."""
    began = time.monotonic()
    peace = seconds - 3 * SCHEDULE_S
    looks = [seconds / 3 + i * (2 * seconds / 3) / SAMPLES for i in range(1, SAMPLES + 1)]
    samples = []
    for moment in sorted([*moments, *looks]):
        time.sleep(max(0.0, began + moment - time.monotonic()))
        market.faulty = moment < peace
        if moment in moments:
            daemon.die_and_rise()
        else:
            samples.append(daemon.sample(moment))
    return samples


def _histq(place: Path, environ: dict[str, str], *words: str) -> None:
    """However it ends: the provider has faults."""
    subprocess.run(
        [sys.executable, "-m", "histq", *words, "-q"],
        cwd=place,
        env=environ,
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
    return port


def _told(posted: Posted) -> Told:
    said = json.loads(posted.body)
    return Told(said["id"], f"{said['name']} {said['subject']}", said["state"])


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
) -> tuple[list[Run], dict[str, list[tuple[int, float]]], str, tuple[int, int]]:
    """Runs, prices by symbol, what integrity_check says, and (messages, dead letters) left."""
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
    return [Run(*run) for run in runs], stored, integrity, left


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
    return [
        *found,
        *_grown(soaked.samples),
        *_answered(soaked),
        *_told_wrongly(soaked),
        *_doubled(soaked.runs),
    ]


def growth_kib(samples: list[Sample]) -> int:
    """By how much memory grew from the first third of the samples to the last, by medians."""
    third = len(samples) // 3
    first = statistics.median(one.memory_kib for one in samples[:third])
    return int(statistics.median(one.memory_kib for one in samples[-third:]) - first)


def _grown(samples: list[Sample]) -> Iterator[str]:
    if (grown := growth_kib(samples)) > GROWTH_KIB:
        yield f"memory grew by {grown} KiB"
    before, after = samples[0].descriptors, samples[-1].descriptors
    if after > before + 12:
        yield f"descriptors grew from {before} to {after}"


def _answered(soaked: Soak) -> Iterator[str]:
    if not soaked.answers.get(200):
        yield f"no visitor was answered: {soaked.answers}"
    yield from sorted(set(soaked.odd))


def _told_wrongly(soaked: Soak) -> Iterator[str]:
    """A start is followed by its end. What was told as the daemon died may come again, alike."""
    told = list(dict.fromkeys(soaked.told))
    for about in {one.about for one in told}:
        states = [one.state for one in told if one.about == about]
        if any(one == other for one, other in pairwise(states)) or states[0] != "start":
            yield f"{about} was told so: {states}"
    refused = sum(one.about == "source_refuses binance" for one in told)
    if refused != 2 * soaked.bans:
        yield f"{soaked.bans} bans, of which {refused} notices told"


def _doubled(runs: list[Run]) -> Iterator[str]:
    killed = sum(run.ended is None for run in runs)
    if killed == len(runs):
        yield "no run came to its end"
    for one, other in pairwise(runs):
        if one.ended is not None and other.started < one.ended:
            yield f"two runs at once: {one} and {other}"
