"""Breaks one promise at a time in a copy of the program; the tests of that promise must fail.

`make mutants`, or `python -m tests.mutants [WORDS]` for those whose names hold the words. Ends
with 1 where a mutant survives: the test that is missing is then the one to write.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parent.parent
COPIED: Final = ("histq", "tests", "schema.sql", "config.example.toml", "pyproject.toml")
AT_ONCE: Final = 2
TIMEOUT_S: Final = 300
PASSED, FAILED = 0, 1  # what pytest ends with

QUEUE: Final = "histq/queues/sqlite.py"
CONFORMANCE: Final = "tests/queues/test_conformance.py"
CRASHES: Final = "tests/test_crash_points.py"


class Edit(NamedTuple):
    """In the file `path`, where `old` occurs once, `new` stands instead."""

    path: str
    old: str
    new: str


class Mutant(NamedTuple):
    """The promise that it breaks, and the tests that hold it."""

    name: str
    edits: tuple[Edit, ...]
    tests: tuple[str, ...]


def mutant(name: str, path: str, old: str, new: str, *tests: str) -> Mutant:
    return Mutant(name, (Edit(path, old, new),), tests)


_ACK: Final = "backends.queue.ack([item.message for item in screened if not item.broken])"

MUTANTS: Final = (
    Mutant(
        "ack before the write",
        (
            Edit("histq/pipeline/settle.py", f"            {_ACK}\n", ""),
            Edit(
                "histq/pipeline/settle.py",
                "    with backends.transaction():\n        # Where",
                f"    {_ACK}\n    with backends.transaction():\n        # Where",
            ),
        ),
        (CRASHES,),
    ),
    mutant(
        "two transactions instead of one",
        "histq/pipeline/backends.py",
        "if shared is not None and shared is self.queue.database:",
        "if False:",
        CRASHES,
        "tests/pipeline/test_consume.py",
    ),
    mutant(
        "no fence",
        QUEUE,
        "delete from messages where id = :id and token = :token",
        "delete from messages where id = :id and :token is not null",
        CONFORMANCE,
    ),
    mutant(
        "no fence for extend",
        QUEUE,
        "set available_at = :until where id = :id and token = :token",
        "set available_at = :until where id = :id and :token is not null",
        CONFORMANCE,
    ),
    mutant(
        "no fence for release",
        QUEUE,
        "deliveries = deliveries - 1 where id = ? and token = ?",
        "deliveries = deliveries - 1 where id = ? and ? is not null",
        CONFORMANCE,
    ),
    mutant(
        "no autoincrement",
        "schema.sql",
        "create table messages (\n  id           integer primary key autoincrement",
        "create table messages (\n  id           integer primary key",
        CONFORMANCE,
    ),
    mutant(
        "a lease hides nothing",
        QUEUE,
        "until = self._until(lease_s)\n            return",
        "until = asked_at\n            return",
        CONFORMANCE,
    ),
    mutant(
        "a lease begins before it is given",
        QUEUE,
        "until = self._until(lease_s)\n            return",
        "until = asked_at + round(lease_s * 1000)\n            return",
        "tests/queues/test_sqlite.py",
    ),
    mutant(
        "who waits for the lock takes what others hold",
        QUEUE,
        "self._choose(asked_at, limit, points)",
        "self._choose(self._clock(), limit, points)",
        "tests/queues/test_sqlite.py",
    ),
    mutant(
        "last in, first out",
        QUEUE,
        "order by available_at, id limit",
        "order by available_at, id desc limit",
        CONFORMANCE,
    ),
    mutant(
        "the low priority starves",
        QUEUE,
        "LOW_SHARE: Final = 8",
        "LOW_SHARE: Final = 10**9",
        CONFORMANCE,
    ),
    mutant(
        "delivered before its time",
        QUEUE,
        "rest = (draft.via, draft.available_at,",
        "rest = (draft.via, 0,",
        "tests/queues/test_time.py",
    ),
    mutant(
        "a window is queued twice",
        "schema.sql",
        '  unique (source, symbol, interval, start, "end")\n) strict;\n\n-- The packed',
        '  unique (source, symbol, interval, start, "end", queued_at)\n) strict;\n\n-- The packed',
        CONFORMANCE,
    ),
    mutant(
        "backoff without cap",
        "histq/queues/__init__.py",
        "BACKOFF_CAP_S: Final = 300.0",
        "BACKOFF_CAP_S: Final = 1e9",
        "tests/queues/test_backoff.py",
    ),
    mutant(
        "backoff without jitter",
        "histq/queues/__init__.py",
        "BACKOFF_JITTER * fraction",
        "BACKOFF_JITTER * 0",
        CONFORMANCE,
    ),
    mutant(
        "one retry too few",
        QUEUE,
        "if failures > self._max_retries:",
        "if failures >= self._max_retries:",
        CONFORMANCE,
    ),
    mutant(
        "a retry keeps its lease",
        QUEUE,
        "update messages set token = null, owner = null, failures = :failures",
        "update messages set failures = :failures",
        CONFORMANCE,
    ),
    mutant(
        "healthy work that is handed back counts as killed",
        QUEUE,
        "deliveries = deliveries - 1 where",
        "deliveries = deliveries where",
        CONFORMANCE,
    ),
    mutant(
        "the leases of the dead are kept",
        QUEUE,
        "self._free(dead_owners)",
        "self._free([])",
        CONFORMANCE,
    ),
    mutant(
        "what kills its consumers takes its neighbours along",
        "histq/queues/__init__.py",
        "ALONE_AFTER: Final = 3",
        "ALONE_AFTER: Final = 10**6",
        CONFORMANCE,
    ),
    mutant(
        "what kills its consumers is never buried",
        "histq/pipeline/settle.py",
        "MAX_KILLED: Final = 20",
        "MAX_KILLED: Final = 10**6",
        "tests/pipeline/test_consume.py",
    ),
    mutant(
        "bringing back loses history",
        "histq/pipeline/letters.py",
        "Priority.HIGH, past=past)",
        "Priority.HIGH)",
        "tests/pipeline/test_letters.py",
    ),
    mutant(
        "the last value wins in a batch",
        "histq/pipeline/settle.py",
        "return item.message.series, item.message.id",
        "return item.message.series, -item.message.id",
        "tests/pipeline/test_consume.py",
    ),
    mutant(
        "the last value wins in the table",
        "histq/stores/sqlite.py",
        'f"insert or ignore into prices',
        'f"insert or replace into prices',
        "tests/stores/test_conformance.py",
    ),
    mutant(
        "an open candle is kept",
        "histq/client.py",
        "or interval.closes_at(c) < said_at",
        "or True",
        "tests/test_client.py",
    ),
    mutant(
        "counters are not updated",
        "histq/stores/sqlite.py",
        "points = points + :inserted",
        "points = points + 0 * :inserted",
        "tests/stores/test_conformance.py",
    ),
    mutant(
        "an answer supersedes no refused body",
        "histq/pipeline/record.py",
        "                backends.queue.supersede(series, window)\n",
        "",
        CRASHES,
    ),
    mutant(
        "a page without open times stops the run",
        "histq/page.py",
        "return type(sum(times)) is int and all(",
        "return all(",
        "tests/pipeline/test_poison.py",
    ),
    mutant(
        "a failing batch is not split",
        "histq/pipeline/consume.py",
        "            if len(messages) > 1:\n",
        "            if False:\n",
        "tests/pipeline/test_errors.py",
        "tests/pipeline/test_consume.py",
    ),
    mutant(
        "a batch does not fill up",
        "histq/pipeline/consume.py",
        "and queue.depth().ready < full",
        "and False",
        "tests/pipeline/test_batches.py",
    ),
    mutant(
        "a full batch waits",
        "histq/pipeline/consume.py",
        "and queue.depth().ready < full",
        "and True",
        "tests/pipeline/test_batches.py",
    ),
    mutant(
        "no lease is extended",
        "histq/pipeline/in_hand.py",
        "if slow:",
        "if False:",
        "tests/pipeline/test_in_hand.py",
    ),
    mutant(
        "nothing is handed back",
        "histq/pipeline/in_hand.py",
        "if not held:",
        "if True:",
        "tests/pipeline/test_in_hand.py",
    ),
    mutant(
        "what breaks the consumer is handed back as healthy",
        "histq/pipeline/in_hand.py",
        "        except HistqError:\n            interrupted",
        "        except Exception:\n            interrupted",
        "tests/pipeline/test_in_hand.py",
    ),
    mutant(
        "a stop waits for the audit trail",
        "histq/cli/session.py",
        "self.opener = self.opener._replace(stop=stop)",
        "pass",
        "tests/cli/test_stopping.py",
    ),
    mutant(
        "a full disk is no full disk",
        "histq/db/translated.py",
        "if code == sqlite3.SQLITE_FULL:",
        "if False:",
        "tests/test_db.py",
    ),
    mutant(
        "a rollback after the rollback",
        "histq/db/__init__.py",
        "rollback would be an error.\n                if self._conn.in_transaction:",
        "rollback would be an error.\n                if True:",
        "tests/test_db.py",
        "tests/test_disk.py",
    ),
    mutant(
        "the log grows for ever",
        "histq/db/__init__.py",
        "if size(self._wal) < self._checkpoint_at:",
        "if True:",
        "tests/test_db.py",
    ),
    mutant(
        "a checkpoint at every commit",
        "histq/db/__init__.py",
        "if size(self._wal) < self._checkpoint_at:",
        "if False:",
        "tests/test_db.py",
    ),
    mutant(
        "producers are not held back",
        "histq/pipeline/record.py",
        "waiting + points > most",
        "waiting + points > 10**18",
        "tests/cli/test_collect.py",
    ),
    mutant(
        "a dropped letter leaves a hole that nobody knows",
        "histq/pipeline/letters.py",
        "backends.store.record(series, news)",
        "backends.store.record(series, [])",
        "tests/pipeline/test_consume.py",
    ),
)


def apply(edits: Iterable[Edit], root: Path) -> None:
    """Raises ValueError where the program has changed and an edit no longer fits."""
    for path, old, new in edits:
        text = (root / path).read_text()
        if text.count(old) != 1:
            raise ValueError(f"{path} holds this {text.count(old)} times, not once: {old!r}")
        (root / path).write_text(text.replace(old, new))


def tried(edits: Sequence[Edit], tests: Sequence[str]) -> int:
    """What pytest ends with in a copy that has been edited so; FAILED where it never ends."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(ROOT / name, root / name)
        apply(edits, root)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-n0", "-p", "no:cacheprovider"]
        try:
            ended = subprocess.run(
                [*command, *tests],
                cwd=root,
                env={**os.environ, "PYTHONPATH": folder},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=TIMEOUT_S,
            )
        except subprocess.TimeoutExpired:
            return FAILED
        return ended.returncode


def verdict(mutant: Mutant) -> bool:
    """Whether it was killed, which is said too."""
    began = time.monotonic()
    status = tried(mutant.edits, mutant.tests)
    words = {FAILED: "killed", PASSED: "SURVIVED"}
    what = words.get(status, f"BROKEN, pytest ended with {status}")
    print(f"{what:10} {time.monotonic() - began:5.1f} s  {mutant.name}", flush=True)
    return status == FAILED


def main(words: Sequence[str]) -> int:
    chosen = [one for one in MUTANTS if all(word in one.name for word in words)]
    tests = sorted({test for one in chosen for test in one.tests})
    if not chosen or tried([], tests) != PASSED:
        print("no such mutant" if not chosen else "the tests fail without a mutant already")
        return 1
    with ThreadPoolExecutor(AT_ONCE) as pool:
        killed = list(pool.map(verdict, chosen))
    print(f"{sum(killed)} of {len(killed)} killed")
    return 0 if all(killed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
