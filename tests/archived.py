"""A copy of Binance on loopback: its API, and its archive of files, each with its checksum."""

import hashlib
import io
import json
import zipfile
from collections.abc import Callable, Sequence

from tests.loopback import Asked, Says

QUARTER_MS = 900_000
# From here on the archive tells microseconds.
MICROSECONDS_FROM_MS = 1_735_689_600_000

Row = list[object]


def candle(opened: int, step_ms: int = QUARTER_MS) -> Row:
    """A row as the API gives it; every open time has prices of its own."""
    price = 100 + opened // step_ms % 1000
    prices = [f"{price + part:.8f}" for part in (0.25, 2, -2, 0.75)]
    volumes = ["12.50000000", f"{price * 12.5:.8f}", 42, "6.00000000", f"{price * 6:.8f}", "0"]
    return [opened, *prices, volumes[0], opened + step_ms - 1, *volumes[1:]]


def csv_of(rows: Sequence[Row]) -> bytes:
    """The rows as a file of the archive has them."""
    lines = []
    for row in rows:
        opened, closed = row[0], row[6]
        assert isinstance(opened, int)
        assert isinstance(closed, int)
        if opened >= MICROSECONDS_FROM_MS:
            opened, closed = opened * 1000, closed * 1000 + 999
        lines.append(",".join(map(str, [opened, *row[1:6], closed, *row[7:]])))
    return "".join(f"{line}\n" for line in lines).encode()


def zipped(csv: bytes, name: str) -> bytes:
    """A zip of one file."""
    found = io.BytesIO()
    with zipfile.ZipFile(found, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, csv)
    return found.getvalue()


class Binance:
    """Serves /api/v3/klines from `rows` and /data/spot/... from `files`, by name."""

    def __init__(self, rows: Callable[[int, int], list[Row]]) -> None:
        self.rows = rows
        self.files: dict[str, bytes] = {}
        self.checksums: dict[str, str] = {}
        self.now: int | None = None

    def add(self, name: str, csv: bytes) -> None:
        """Publishes a file, or replaces it."""
        self.files[name] = zipped(csv, name.replace(".zip", ".csv"))
        self.checksums[name] = hashlib.sha256(self.files[name]).hexdigest()

    def __call__(self, asked: Asked) -> Says:
        if asked.path == "/api/v3/klines":
            start, limit = int(asked.query["startTime"]), int(asked.query["limit"])
            end = int(asked.query.get("endTime", 2**62))
            return Says(json.dumps(self.rows(start, end)[:limit]).encode(), now=self.now)
        name = asked.path.rpartition("/")[2]
        file = name.removesuffix(".CHECKSUM")
        if file not in self.files:
            return Says(b"<Error><Code>NoSuchKey</Code></Error>", 404)
        if name != file:
            return Says(f"{self.checksums[file]}  {file}\n".encode())
        return Says(self.files[file])
