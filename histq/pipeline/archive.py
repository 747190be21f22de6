"""A file of rows that were deleted, as JSON lines: {"table": "runs", "id": 1, ...}."""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

import msgspec

from histq.errors import Config, Usage
from histq.place import part_of, to_disk

_START: Final = b'{"table":"'


class Archive:
    """Grows by whole batches; each is on disk when `add` returns."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def open(cls, path: Path, databases: Sequence[Path]) -> Self:
        """A new archive, or one that goes on. Raises Usage for a file that is something else,
        Config for one that cannot be written.
        """
        if any(part_of(path, database) for database in databases):
            raise Usage(f"{path} is the database itself, or a part of it; name another file")
        with _translated(path):
            if path.exists() and not path.is_file():
                raise Usage(f"{path} is no regular file; name another")
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            archive = cls(path, descriptor)
            try:
                archive._go_on()
                to_disk(path.parent)
            except BaseException:
                archive.close()
                raise
        return archive

    def add(self, table: str, rows: Sequence[Mapping[str, object]]) -> None:
        """Writes the rows and waits until they are on disk. Raises Config."""
        lines = [msgspec.json.encode({"table": table, **row}) + b"\n" for row in rows]
        left = memoryview(b"".join(lines))
        with _translated(self.path):
            while left:
                left = left[os.write(self._descriptor, left) :]
            os.fsync(self._descriptor)

    def _go_on(self) -> None:
        """Ends the file at its last whole line: a kill has cut off what follows, and what was being
        written then was not deleted.
        """
        size = os.fstat(self._descriptor).st_size
        start = os.pread(self._descriptor, len(_START), 0)
        if start != _START[: len(start)]:
            raise Usage(f"{self.path} is no archive of histq db prune; name another file")
        whole = size
        while whole and os.pread(self._descriptor, 1, whole - 1) != b"\n":
            step = min(whole, 65_536)
            whole = whole - step + os.pread(self._descriptor, step, whole - step).rfind(b"\n") + 1
        os.ftruncate(self._descriptor, whole)

    def close(self) -> None:
        """Leaves no file that holds nothing."""
        if not os.fstat(self._descriptor).st_size:
            self.path.unlink(missing_ok=True)
        os.close(self._descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Config(f"archive {path}: {error.strerror}; name a file you may write") from error
