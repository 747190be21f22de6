"""A terminal for a program that wants one: a pty of a chosen size, its keys and its pictures."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE_S = 30.0
"""For what must come; no test waits for so long unless it fails."""

ENTERED, LEFT = "\x1b[?1049h", "\x1b[?1049l"
"""The screen of its own, begun and ended."""

CURSOR_HIDDEN, CURSOR_SHOWN = "\x1b[?25l", "\x1b[?25h"

_HOME = "\x1b[H"
_LAST_WORDS = "q leaves"
_CODE = re.compile(r"\x1b\[[0-9;?]*[a-zA-Z]")

# A session leader that opens a terminal gets it as its own, and with it Ctrl-C and Ctrl-Z.
_ON_TERMINAL = 'exec "$@" <>"$0" 1>&0 2>&0'


class Terminal:
    """Runs histq on a terminal of its own. `said` is all that it wrote."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        environ: Mapping[str, str],
        columns: int = 80,
        lines: int = 24,
    ) -> None:
        self._master, self._slave = pty.openpty()
        self.said = ""
        self.resize(columns, lines)
        self.modes_before = self.modes()
        kept = {name: value for name, value in environ.items() if name not in ("COLUMNS", "LINES")}
        program = [sys.executable, "-m", "histq", *arguments]
        self.process = subprocess.Popen(
            ["sh", "-c", _ON_TERMINAL, os.ttyname(self._slave), *program],
            cwd=cwd,
            env={**kept, "TERM": "xterm-256color"},
            start_new_session=True,
        )

    def resize(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, size)

    def modes(self) -> list[Any]:
        """How the terminal treats keys: echo, lines, signals."""
        return termios.tcgetattr(self._slave)

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def picture(self) -> list[str]:
        """The lines of the latest whole picture."""
        whole = [one for one in self.said.split(_HOME) if _LAST_WORDS in one]
        latest = whole[-1] if whole else ""
        return _CODE.sub("", latest).replace("\r", "").split("\n")

    def until(self, seen: Callable[[str], bool]) -> list[str]:
        """The first picture, as one text, that the test is waiting for."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            self._read(0.1)
            if seen("\n".join(self.picture())):
                return self.picture()
        raise AssertionError("\n".join(["not seen; the last picture was:", *self.picture()]))

    def shows(self, *texts: str) -> list[str]:
        """The first picture that holds all of them."""
        return self.until(lambda picture: all(text in picture for text in texts))

    def says(self, text: str) -> None:
        """Waits until it has written that."""
        deadline = time.monotonic() + PATIENCE_S
        while text not in self.said:
            assert time.monotonic() < deadline, f"never said; all that was: {self.said}"
            self._read(0.1)

    def wait(self) -> int:
        """Its exit code, once it has ended."""
        deadline = time.monotonic() + PATIENCE_S
        while self.process.poll() is None and time.monotonic() < deadline:
            self._read(0.1)
        self._read(0)
        return self.process.wait(0)

    def wait_until_stopped(self) -> None:
        """As a shell waits for a job that gets Ctrl-Z."""
        while not os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT):
            self._read(0.1)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def _read(self, timeout_s: float) -> None:
        while select.select([self._master], [], [], timeout_s)[0]:
            self.said += os.read(self._master, 65536).decode(errors="replace")
            timeout_s = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)
        os.close(self._slave)
