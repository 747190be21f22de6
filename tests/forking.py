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
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from tests.orders import Ordered

POLL_S: Final = 0.002
ROOT: Final = Path(__file__).parent.parent


class Forking(Ordered):
    """The parent's side."""

    def __init__(self) -> None:
        super().__init__("tests.forking", ROOT)

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
        answer: int | None = self.order(
            argv=arguments,
            cwd=str(cwd),
            environ=dict(environ),
            output=str(output),
            timeout_s=timeout_s,
        )
        return answer


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
