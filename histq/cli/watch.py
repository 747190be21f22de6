"""stats --watch: the same look again and again, on a screen of its own or line by line."""

import logging
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Final

import msgspec
from rich.live import Live

from histq.cli.keyboard import ENDED, Keyboard
from histq.cli.render_watch import Screen, on_paper
from histq.cli.session import SCHEMA
from histq.config import state_folder
from histq.errors import DatabaseMissing, Locked, StorageFailed
from histq.pipeline.watch import Look, Lookout

if TYPE_CHECKING:
    from histq.cli.session import Session
    from histq.stop import Stop

logger = logging.getLogger(__name__)

LEAVES: Final = ("q", "Q", "\x1b", ENDED)
"""Keys that end it; an arrow, which begins with an escape as well, does not."""


def watch(session: "Session", every_s: float) -> int:
    """Shows how everything is until it is told to end; its exit code."""
    stop = session.stop_on_signals()
    lookout = Lookout(session.opener, state_folder())
    out = session.out
    if session.json or not out.is_terminal or out.is_dumb_terminal:
        return _line_by_line(session, lookout, every_s, stop)
    while (exit_code := _on_screen(session, lookout, every_s, stop)) is None:
        os.kill(os.getpid(), signal.SIGSTOP)  # Ctrl-Z: the terminal is the shell's again
    return exit_code


def _on_screen(session: "Session", lookout: Lookout, every_s: float, stop: "Stop") -> int | None:
    """The exit code; None where it is to be suspended."""
    alert_depth = session.settings.queue.alert_depth
    look: Look | None = None
    notice = ""
    look_at = time.monotonic()
    # The keyboard is given back last: what is typed meanwhile would be echoed into the picture.
    with Keyboard() as keyboard, Live(console=session.out, screen=True, auto_refresh=False) as live:
        while not stop and not keyboard.suspended:
            if time.monotonic() >= look_at:
                look, notice = _looked(lookout, look)
                look_at = time.monotonic() + every_s
            screen = Screen(look, notice, every_s=every_s, alert_depth=alert_depth)
            live.update(screen, refresh=True)
            if keyboard.key(look_at - time.monotonic()) in LEAVES:
                return 0
    return stop.exit_code if stop else None


def _looked(lookout: Lookout, before: Look | None) -> tuple[Look | None, str]:
    """How it is now and no notice; else how it was, and why it cannot be seen."""
    try:
        return lookout.look(), ""
    except DatabaseMissing as error:
        return None, f"{error}; waiting for it"
    except (Locked, StorageFailed) as error:
        return before, str(error)


def _line_by_line(session: "Session", lookout: Lookout, every_s: float, stop: "Stop") -> int:
    """For a pipe or a file. Raises DatabaseMissing: nobody is there to see what it waits for."""
    while not stop:
        began = time.monotonic()
        try:
            _print(session, lookout.look())
        except (Locked, StorageFailed) as error:
            logger.warning("no look this time: %s", error)
        stop.wait(max(0.0, began + every_s - time.monotonic()))
    return stop.exit_code


def _print(session: "Session", look: Look) -> None:
    if session.json:
        shown = {"schema": SCHEMA, **msgspec.to_builtins(look)}
        sys.stdout.write(msgspec.json.encode(shown).decode() + "\n")
    else:
        session.out.print(on_paper(look, session.settings.queue.alert_depth))
    sys.stdout.flush()
