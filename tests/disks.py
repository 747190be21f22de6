"""A disk of the test's own: small, and full or read-only when it is to be."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest


class SmallDisk:
    """A disk of its own, in memory, that can be made larger, and be filled or made read-only."""

    def __init__(self, folder: Path, size: int) -> None:
        self.folder = folder
        self._covered = False
        self._mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs")

    def enlarge(self, size: int) -> None:
        self._mount("-o", f"remount,size={size}")

    def read_only(self, yes: bool) -> None:
        """Nobody may have a file of it open for writing."""
        self._mount("-o", f"remount,{'ro' if yes else 'rw'}")

    def cover(self) -> None:
        """Whoever opens a file of it from now on can only read; what is open can be written."""
        self._mount("--bind", str(self.folder))
        self._covered = True
        self._mount("-o", "remount,ro,bind")

    def uncover(self) -> None:
        self._unmount()
        self._covered = False

    def fill(self, but: int) -> None:
        """Leaves so many bytes."""
        (self.folder / "ballast").write_bytes(bytes(shutil.disk_usage(self.folder).free - but))

    def empty(self) -> None:
        (self.folder / "ballast").unlink()

    def _mount(self, *arguments: str) -> None:
        command = ["mount", *arguments, str(self.folder)]
        subprocess.run(command, check=True, capture_output=True)

    def unmount(self) -> None:
        if self._covered:
            self.uncover()
        self._unmount()

    def _unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@contextmanager
def small_disks(folder: Path) -> Iterator[Callable[[int], SmallDisk]]:
    """Makes one in the folder, of so many bytes; skips where this machine does not let us mount."""
    with ExitStack() as stack:

        def make(size: int) -> SmallDisk:
            folder.mkdir()
            try:
                disk = SmallDisk(folder, size)
            except (OSError, subprocess.CalledProcessError):
                pytest.skip("mounting a small disk is not allowed here")
            stack.callback(disk.unmount)
            return disk

        yield make
