"""Runs histq in processes that are forked off one which has imported it already.

`python -m tests.forking` reads one JSON order a line and answers with one line, the exit status. It
has one thread and opens no database, so it may fork; a child is a process of its own in all but the
quarter of a second that its imports would take.
"""

import gc
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

POLL_S: Final = 0.002
ROOT: Final = Path(__file__).parent.parent


class Forking:
    """The parent's side."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.forking"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )

    def run(
        self,
        arguments: Sequence[str],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        output: Path,
        timeout_s: float,
    ) -> int | None:
        """The exit code; None where it was killed, because it took too long.

        What it says is in the files `out` and `err` of the folder `output`.
        """
        order = {
            "argv": list(arguments),
            "cwd": str(cwd),
            "environ": dict(environ),
            "output": str(output),
            "timeout_s": timeout_s,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer: int | None = json.loads(self._process.stdout.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._process:  # closes the pipes; the other side ends at the end of its input
            pass


def _become(order: dict[str, Any]) -> None:
    """Makes this child what a new process would be."""
    os.chdir(order["cwd"])
    os.environ.clear()
    os.environ.update(order["environ"])
    for name, descriptor in (("out", 1), ("err", 2)):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(f"{order['output']}/{name}", flags, 0o644), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = ["histq", *order["argv"]]
    sys.path[0] = order["cwd"]  # as for python -m
    importlib.invalidate_caches()


def _awaited(pid: int, timeout_s: float) -> int | None:
    deadline = time.monotonic() + timeout_s
    while True:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            return None
        time.sleep(POLL_S)


def _serve() -> None:
    import histq.cli.progress
    import histq.cli.render
    import histq.cli.render_ledger
    import histq.cli.session
    import histq.pipeline.ledgers
    import histq.pipeline.sync  # noqa: F401, imported before the fork so that no child has to
    from histq.__main__ import main
    from histq.providers import providers

    providers()
    gc.freeze()  # what is there already is not looked at, and so not copied, by the children
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
            main()
            return
        sys.stdout.write(json.dumps(_awaited(pid, order["timeout_s"])) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
