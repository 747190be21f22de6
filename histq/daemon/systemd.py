"""What systemd is told over its socket, by sd_notify(3): ready, reloading, stopping, alive."""

import contextlib
import os
import socket
import time
from collections.abc import Mapping
from typing import TextIO


class Notifier:
    """Tells nobody where there is no NOTIFY_SOCKET."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        # A name that begins with @ lies in the abstract namespace, whose names begin with zero.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = _watchdog_s(environ)
        self._alive_at = -self._watchdog_s

    def ready(self, status: str) -> None:
        self._tell(f"READY=1\nSTATUS={status}")

    def reloading(self) -> None:
        """`ready` ends it."""
        self._tell(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def alive(self) -> None:
        """To be called often; tells as often as the watchdog wants it."""
        now = time.monotonic()
        if self._watchdog_s and now - self._alive_at >= self._watchdog_s / 2:
            self._alive_at = now
            self._tell("WATCHDOG=1")

    def _tell(self, text: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),  # a service manager that went away is no reason to stop
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
        ):
            sock.sendto(text.encode(), self._address)


def in_journal(environ: Mapping[str, str], stream: TextIO) -> bool:
    """Whether what is written there goes to the journal, which dates each line: systemd.exec(5)."""
    try:
        found = os.fstat(stream.fileno())
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


def _watchdog_s(environ: Mapping[str, str]) -> float:
    """How often systemd wants to hear from this process; 0 where it does not."""
    text = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
    return int(text) / 1_000_000 if text.isdigit() and meant else 0.0
