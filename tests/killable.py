"""Runs histq in processes that die by SIGKILL before a chosen SQL write, or after a while.

`python -m tests.killable` reads one JSON order a line and answers with one line: the exit status
(negative: the signal) and what the process told before it ended. It imports histq once and forks
for each order, so that a hundred processes take seconds. Having one thread, it may fork.
"""

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sqlite_utils.utils import sqlite3

from tests.orders import Ordered


class Death(NamedTuple):
    """How a process ended: its exit code, or minus the signal; the write it died before; stderr."""

    status: int
    statement: str
    statements: int
    err: str


class Killable(Ordered):
    """The parent's side; an answer is the exit status and what the process told."""

    def __init__(self, environ: dict[str, str], root: Path, module: str = "tests.killable") -> None:
        super().__init__(module, root, environ, stderr=subprocess.DEVNULL)

    def run(
        self, *arguments: str, cwd: Path, at: int = 0, kind: str = "", after_s: float = 0
    ) -> Death:
        """Runs histq, to be killed before its n-th write (of a kind), or after a time."""
        status, told = self.order(cwd=str(cwd), argv=arguments, at=at, kind=kind, after_s=after_s)
        statement, statements = told or ("", 0)
        return Death(status, statement, statements, (cwd / "err").read_text())


WRITES = ("begin", "create", "insert", "update", "delete", "commit")

_connect: Any = sqlite3.connect


class _Statements:
    """Counts the writes of all connections of this process; dies before the chosen one."""

    def __init__(self, at: int, kind: str, told: Path) -> None:
        self._at = at
        self._kind = kind
        self._told = told
        self._lock = threading.Lock()
        self.count = 0

    def connect(self, *arguments: Any, **named: Any) -> sqlite3.Connection:
        """What histq gets for sqlite3.connect in this process: a connection that is watched."""
        connection: sqlite3.Connection = _connect(*arguments, **named)
        connection.set_trace_callback(self._seen)
        return connection

    def _seen(self, statement: str) -> None:
        lowered = statement.lower()
        if not lowered.startswith(WRITES) or not lowered.startswith(self._kind):
            return
        with self._lock:
            self.count += 1
            if self.count == self._at:
                self._told.write_text(json.dumps((statement[:200], self.count)))
                os.kill(os.getpid(), signal.SIGKILL)


def _child(order: dict[str, Any], told: Path) -> None:
    from histq.cli import main

    sys.argv = ["histq", *order["argv"]]
    statements = _Statements(order["at"], order["kind"], told)
    sqlite3.connect = statements.connect  # type: ignore[assignment]
    status = 0
    try:
        main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    told.write_text(json.dumps(("", statements.count)))
    os._exit(status)


def serve(child: Callable[[dict[str, Any], Path], None]) -> None:
    """Forks for each order; the child runs in its folder and writes what it tells to that file."""
    gc.freeze()  # what is there already is not looked at, and so not copied, by the children
    for line in sys.stdin:
        order = json.loads(line)
        told = Path(order["cwd"]) / "told"
        told.write_text("null")
        pid = os.fork()
        if pid == 0:
            os.chdir(order["cwd"])
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # our answers go there
            os.dup2(os.open("err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 2)
            child(order, told)
        if order.get("after_s"):
            time.sleep(order["after_s"])
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        sys.stdout.write(json.dumps((status, json.loads(told.read_text()))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    import histq.cli.progress
    import histq.cli.render
    import histq.cli.session
    import histq.pipeline.consume
    import histq.pipeline.sync  # noqa: F401, imported before the fork so that no child has to

    serve(_child)
