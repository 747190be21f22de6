"""A provider on loopback in a process of its own, so that it takes no time of the one measured."""

import multiprocessing
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Final, Self

from tests.loopback import Answer, Asked, Loopback

PATIENCE_S: Final = 60.0

_spawn = multiprocessing.get_context("spawn")


class Served:
    """Serves while the block runs; `answer` is a function that another process can import."""

    def __init__(self, answer: Answer) -> None:
        self._ear, mouth = _spawn.Pipe()
        self._process = _spawn.Process(target=_serve, args=(answer, mouth), daemon=True)
        self.url = ""

    def asked(self) -> list[Asked]:
        """What has been asked since the last time."""
        self._ear.send("asked")
        found: list[Asked] = self._ear.recv()
        return found

    def __enter__(self) -> Self:
        self._process.start()
        if not self._ear.poll(PATIENCE_S):
            raise SystemExit(f"no server after {PATIENCE_S:.0f} s")
        self.url = self._ear.recv()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ear.send("end")
        self._process.join()


def _serve(answer: Answer, mouth: Connection) -> None:
    told = 0
    with Loopback(answer) as server:
        mouth.send(server.url)
        while mouth.recv() == "asked":
            log = server.log
            mouth.send(log[told:])
            told = len(log)
