"""New settings while the disk can only be read: the daemon goes on, and works when it can."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.conftest import source_at
from tests.daemon.test_daemon import FETCHES, QUICK, value
from tests.disks import small_disks
from tests.hourly import hours
from tests.loopback import Loopback
from tests.processes import until

MIB = 1024 * 1024


def seen(log: Path, text: str) -> Callable[[], bool]:
    return lambda: text in log.read_text()


def test_settings_that_come_while_the_disk_is_read_only_end_nothing(
    tmp_path: Path, environ: dict[str, str], place: Path
) -> None:
    log = tmp_path / "log"
    with Loopback(hours) as server, small_disks(tmp_path / "disk") as make, log.open("w") as err:
        disk = make(64 * MIB)
        settings = {**environ, **source_at("binance", server.url), **QUICK}
        settings["HISTQ_DB"] = str(disk.folder / "histq.db")
        daemon = subprocess.Popen(
            [sys.executable, "-m", "histq", "daemon", "-v"],
            cwd=place,
            env=settings,
            stderr=err,
            text=True,
        )
        try:
            until(lambda: value(disk.folder, FETCHES) >= 1)
            disk.cover()
            daemon.send_signal(signal.SIGHUP)
            until(seen(log, "new settings "))
            disk.uncover()
            before = value(disk.folder, FETCHES)

            until(lambda: value(disk.folder, FETCHES) >= before + 2)
            daemon.send_signal(signal.SIGTERM)
            code = daemon.wait(60)
        finally:
            daemon.kill()
            daemon.wait()

    assert code == 143
    assert "Traceback" not in log.read_text()
