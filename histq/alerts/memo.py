"""What was told of a database that fails. It cannot be kept there, so a small file keeps it."""

import contextlib
import hashlib
from pathlib import Path

import msgspec

from histq.stores.alerts import Alert

_decode = msgspec.json.Decoder(Alert).decode


class Memo:
    """One file a database. Where none can be, what was told is forgotten with the process."""

    def __init__(self, folder: Path | None, database: Path) -> None:
        name = hashlib.sha256(str(database.absolute()).encode()).hexdigest()[:16]
        self._file = None if folder is None else folder / f"failing-{name}.json"

    def read(self) -> Alert | None:
        """What a process before this one told; None where it told nothing."""
        if self._file is not None:
            with contextlib.suppress(OSError, msgspec.DecodeError):
                return _decode(self._file.read_bytes())
        return None

    def write(self, alert: Alert) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                self._file.write_bytes(msgspec.json.encode(alert))

    def drop(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.unlink(missing_ok=True)
