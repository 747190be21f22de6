"""SIGKILLs at random moments: python -m bench.kills [kills] [seed].

Two `histq fetch` and five `histq consume --follow` work on one file. Again and again one of the
seven is killed and begun anew. In the end nothing may tell: every candle once in the table or among
the dead letters, counters equal to recounts, nothing buried because a process died.

histq is imported once and forked, so that a process is at work a moment after it has begun.
"""

import contextlib
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

import histq.cli
import histq.cli.progress
import histq.cli.render
import histq.cli.session
import histq.pipeline.consume
import histq.pipeline.fetch
from bench.killing import klines, symbol, violations
from bench.measure import environ, machine
from bench.serving import Served

KILLS: Final = 200
SEED: Final = 1
PRODUCERS: Final = 2
CONSUMERS: Final = 5
PAUSE_S: Final = 0.2
LIMIT_S: Final = 600.0
POLL_S: Final = 0.02
KILLED: Final = -signal.SIGKILL
ENDED_BY_TERM: Final = 128 + signal.SIGTERM

FETCH: Final = "fetch -q {symbol} -s binance -i 1m --from 2024-01-01 --to 2024-01-08"
CONSUME: Final = "consume -q --follow --concurrency 2"


class Process(NamedTuple):
    """A running histq."""

    pid: int
    command: str

    def ended(self, *, wait: bool = False) -> int | None:
        """Its exit code, or minus the signal that ended it; None while it runs."""
        pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


class Fire:
    """The seven processes and who is to be killed next."""

    def __init__(self, folder: Path, kills: int, seed: int) -> None:
        self._folder = folder
        self._kills = kills
        self._dice = random.Random(seed)
        self._deadline = time.monotonic() + LIMIT_S
        self._running: list[Process] = []
        self.markets: list[str] = []
        self.killed: Counter[str] = Counter()
        self.leases_left = 0

    def rage(self) -> None:
        """Kills so often, then lets all come to its end. Raises SystemExit where it does not."""
        self._running = [self._fetch_next() for _ in range(PRODUCERS)]
        self._running += [self._begin(CONSUME) for _ in range(CONSUMERS)]
        try:
            while self.killed.total() < self._kills:
                time.sleep(self._dice.uniform(0, PAUSE_S))
                self._replace_ended()
                self._kill_one()
            self._finish()
        finally:
            for process in self._running:
                os.kill(process.pid, signal.SIGKILL)
                process.ended(wait=True)

    def _kill_one(self) -> None:
        place = self._dice.randrange(len(self._running))
        process = self._running[place]
        os.kill(process.pid, signal.SIGKILL)
        code = process.ended(wait=True)
        if code != KILLED:
            self._follow(place, code)
            return
        self.killed[process.command.split()[0]] += 1
        self.leases_left += self._leases_of(process.pid)
        self._running[place] = self._begin(process.command)

    def _replace_ended(self) -> None:
        for place, process in enumerate(self._running):
            if (code := process.ended()) is not None:
                self._follow(place, code)
        if time.monotonic() > self._deadline:
            raise SystemExit(f"not done within {LIMIT_S:.0f} s: {self.killed}")

    def _follow(self, place: int, code: int | None) -> None:
        """A fetch that is done is followed by the next; nothing else may end by itself."""
        process = self._running[place]
        if code != 0 or process.command == CONSUME:
            del self._running[place]
            raise SystemExit(f"histq {process.command}: exit {code}")
        self._running[place] = self._fetch_next()

    def _finish(self) -> None:
        """Producers end their symbol, consumers are asked to end, one more takes what is left."""
        consumers = [process for process in self._running if process.command == CONSUME]
        for process in [process for process in self._running if process not in consumers]:
            self._expect(process, 0)
        for process in consumers:
            os.kill(process.pid, signal.SIGTERM)
        for process in consumers:
            self._expect(process, ENDED_BY_TERM)
        last = self._begin("consume -q")
        self._running.append(last)
        self._expect(last, 0, 3)  # 3: a bad candle was among what was left

    def _expect(self, process: Process, *codes: int) -> None:
        while (code := process.ended()) is None:
            if time.monotonic() > self._deadline:
                raise SystemExit(f"histq {process.command}: not done within {LIMIT_S:.0f} s")
            time.sleep(POLL_S)
        self._running.remove(process)
        if code not in codes:
            raise SystemExit(f"histq {process.command}: exit {code}")

    def _fetch_next(self) -> Process:
        self.markets.append(symbol(len(self.markets)))
        return self._begin(FETCH.format(symbol=self.markets[-1]))

    def _begin(self, command: str) -> Process:
        pid = os.fork()
        if pid == 0:
            self._be_histq(command)
        return Process(pid, command)

    def _be_histq(self, command: str) -> None:
        os.chdir(self._folder)
        for name, descriptor in (("out", 1), ("err", 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_APPEND), descriptor)
        sys.argv = ["histq", *command.split()]
        status = 1
        try:
            histq.cli.main()
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 1
        finally:
            os._exit(status)

    def _leases_of(self, pid: int) -> int:
        """How many messages the process held when it died."""
        path = self._folder / "histq.db"
        if not path.exists():
            return 0
        with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            try:
                found = connection.execute(
                    "select count(*) from messages where token is not null and owner like ?",
                    (f"%:%:{pid}:%",),
                )
                count: int = found.fetchone()[0]
            except sqlite3.OperationalError:  # the file has only just been made
                return 0
            return count


def main() -> None:
    """Prints what was killed and what the audit found; exit 1 where it found anything."""
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else SEED
    print(f"{machine()}: {kills} kills, seed {seed}")
    with tempfile.TemporaryDirectory() as name, Served(klines) as server:
        folder = Path(name)
        settings = {
            "sources__binance__base_url": server.url,
            "sources__binance__requests_per_minute": 1_000_000,
            "queue__batch_seconds": 0.05,
            "queue__batch_points": 3_000,
        }
        os.environ.update(environ(folder, **settings))
        fire = Fire(folder, kills, seed)
        began = time.monotonic()
        fire.rage()
        took = time.monotonic() - began
        told = sorted(set((folder / "err").read_text().splitlines()))
        found = list(violations(folder / "histq.db", fire.markets))
    print(f"{took:.0f} s; killed {dict(fire.killed)}, with {fire.leases_left} messages in hand")
    print(f"{len(fire.markets)} symbols; said on stderr: {told or 'nothing'}")
    for violation in found:
        print(violation)
    if found:
        raise SystemExit(f"{len(found)} violations")
    print("every candle once, counters equal to recounts, integrity_check ok: met")


if __name__ == "__main__":
    main()
