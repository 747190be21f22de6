"""Binance's public archive of spot candles: whole months and days, a zip of one CSV file each.

data/spot/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2024-01.zip, and beside it the same with .CHECKSUM:
SHA-256, two spaces, the name. The columns are those of /api/v3/klines, without a header, though
some files have one. Times are milliseconds before 2025-01-01 and microseconds from then on. The
month interval is spelled 1mo, days exist up to 1d. A day is published on the next one, a month on
the first Monday of the next; what is not published yet is a 404. Files are replaced now and then.
https://github.com/binance/binance-public-data
"""

import datetime
import io
import re
import zipfile
import zlib
from collections.abc import Iterator
from typing import ClassVar, Final

import msgspec

from histq.errors import Misshapen, NotPublished
from histq.model import (
    DAY_MS,
    MICROSECONDS_FROM,
    MONDAY_MS,
    WEEK_MS,
    Candle,
    Interval,
    Market,
    Token,
    Window,
)
from histq.providers import UNREADABLE, Ask, Defaults, Reply, Request, binance, check_status

MOST_SLOTS: Final = 50_000
"""Candles of a file that is taken whole: a month of 1m has 44,640, one of 1s is half a gigabyte."""

MOST_BYTES: Final = 64 * 1024 * 1024
"""Of an unzipped file; ten times the largest that is asked for."""

LATE_MS: Final = DAY_MS
"""How long after the announced day a file is given to appear."""

COLUMNS: Final = 12
PART_BYTES: Final = 256 * 1024

MONTH: Final = Interval("1M")

_UNREADABLE = (*UNREADABLE, zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
_Row = tuple[int, float, float, float, float, float, int, float, int, float, float, float]
_decode = msgspec.json.Decoder(list[_Row]).decode
_CHECKSUM = re.compile(rb"([0-9a-fA-F]{64})\s+\*?(\S+)\s*")


class BinanceArchive:
    name: ClassVar = "binance-archive"
    archive_of: ClassVar = "binance"
    # Binance.US is another exchange.
    same_hosts: ClassVar = (
        *("data-api.binance.vision", "api.binance.com", "api-gcp.binance.com"),
        *(f"api{number}.binance.com" for number in range(1, 5)),
    )
    intervals: ClassVar = binance.PROVIDER.intervals
    defaults: ClassVar = Defaults(
        base_url="https://data.binance.vision",
        enabled=True,
        intervals=("1h",),
        requests_per_minute=600,
        concurrency=2,
        max_wait_s=30.0,
    )
    key_hint: ClassVar = ""

    def market(self, token: Token) -> Market | None:
        return binance.PROVIDER.market(token)

    def named(self, symbol: str) -> Market | None:
        return binance.PROVIDER.named(symbol)

    def page_slots(self, interval: Interval) -> int:
        return MOST_SLOTS

    def reach(self, interval: Interval, plan: str, now: int) -> int | None:
        return None

    def publish_delay_ms(self, interval: Interval) -> int:
        return 0  # `files` knows when each is out

    def cache_ms(self, interval: Interval) -> int:
        return 0

    def base_url(self, configured: str, plan: str) -> str:
        return configured

    def headers(self, api_key: str, plan: str) -> dict[str, str]:
        return {}

    def files(self, window: Window, interval: Interval, now: int) -> list[Window]:
        found = []
        for month in _cut(window, MONTH):
            whole = Window(MONTH.floor(month.start), MONTH.next(month.start))
            small = interval.slots(*whole) <= MOST_SLOTS
            if _is_day(month, interval) or not small or not _month_is_out(whole, now):
                found += _days(month, interval, now)
            else:
                found.append(month)
        return found

    def file_name(self, ask: Ask) -> str:
        """BTCUSDT-1m-2024-01.zip, or BTCUSDT-1m-2024-01-31.zip for a window within a day."""
        moment = datetime.datetime.fromtimestamp(ask.window.start / 1000, datetime.UTC)
        date = moment.strftime("%Y-%m-%d" if _is_day(ask.window, ask.interval) else "%Y-%m")
        return f"{ask.market.native}-{_spelled(ask.interval)}-{date}.zip"

    def request(self, ask: Ask) -> Request:
        often = "daily" if _is_day(ask.window, ask.interval) else "monthly"
        folder = f"/data/spot/{often}/klines/{ask.market.native}/{_spelled(ask.interval)}"
        return Request(f"{folder}/{self.file_name(ask)}", {})

    def checksum_request(self, ask: Ask) -> Request:
        return Request(f"{self.request(ask).path}.CHECKSUM", {})

    def checksum(self, body: bytes, ask: Ask) -> str:
        found = _CHECKSUM.fullmatch(body)
        if not found or found[2].decode(errors="replace") != self.file_name(ask):
            raise Misshapen(f"{ask}: no checksum of {self.file_name(ask)} in the answer", body)
        return found[1].decode().lower()

    def check(self, reply: Reply, ask: Ask) -> None:
        if reply.status == 404:
            raise NotPublished(
                f"{ask}: the archive has no {self.file_name(ask)}, or not yet;"
                " -s binance asks Binance itself"
            )
        check_status(reply, ask)

    def parse(self, body: bytes, ask: Ask) -> list[Candle]:
        start, end = ask.window
        try:
            candles = _candles(_rows(_unzipped(body)), ask.interval)
        except _UNREADABLE as error:
            raise Misshapen(f"{ask}: no candles in {self.file_name(ask)}: {error}", body) from error
        return [candle for candle in candles if start <= candle.timestamp < end]


def _spelled(interval: Interval) -> str:
    return "1mo" if interval.name == "1M" else interval.name


def _is_day(window: Window, interval: Interval) -> bool:
    """Whether a daily file holds the window."""
    within = window.start // DAY_MS == (window.end - 1) // DAY_MS
    return within and interval.step_ms <= DAY_MS


def _month_is_out(month: Window, now: int) -> bool:
    """Whether the first Monday of the month after has passed."""
    monday = month.end + (MONDAY_MS - month.end) % WEEK_MS
    return now >= monday + DAY_MS + LATE_MS


def _days(window: Window, interval: Interval, now: int) -> list[Window]:
    if interval.step_ms > DAY_MS:
        return []
    days = _cut(window, Interval("1d"))
    return [day for day in days if now >= Interval("1d").next(day.start) + DAY_MS + LATE_MS]


def _cut(window: Window, calendar: Interval) -> Iterator[Window]:
    """The window in parts that end where a slot of the calendar ends."""
    start = window.start
    while start < window.end:
        end = min(window.end, calendar.next(start))
        yield Window(start, end)
        start = end


def _unzipped(body: bytes) -> bytes:
    """The one file in the zip. Raises what zipfile does, and ValueError."""
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise ValueError(f"{len(members)} files in the zip, not one")
        if members[0].file_size > MOST_BYTES:
            raise ValueError(f"{members[0].file_size} bytes in the zip")
        return archive.read(members[0])


def _rows(csv: bytes) -> Iterator[_Row]:
    """The rows of the file. Raises what decoding does.

    As JSON, which is decoded in a tenth of the time that the csv module takes; and by parts, for a
    month of minutes takes fifty megabytes at once.
    """
    first, _, rest = csv.partition(b"\n")
    header = first[:1].isalpha() and first.count(b",") == COLUMNS - 1
    text = rest if header else csv
    start = 0
    while start < len(text):
        end = text.find(b"\n", start + PART_BYTES)
        end = len(text) if end < 0 else end
        if part := text[start:end].replace(b"\r", b"").strip():
            yield from _decode(b"[[" + part.replace(b"\n", b"],[") + b"]]")
        start = end + 1


def _candles(rows: Iterator[_Row], interval: Interval) -> list[Candle]:
    """In the order of the file. Written out, as a month of minutes is a loop of 44,640 turns."""
    span_ms = None if interval.name == "1M" else interval.step_ms - 1
    found = []
    for opened, o, high, low, c, volume, closed, quote, trades, taker, taken, _ in rows:
        start = opened // 1000 if opened >= MICROSECONDS_FROM else opened
        end = closed // 1000 if closed >= MICROSECONDS_FROM else closed
        regular = interval.close_time(start) if span_ms is None else start + span_ms
        early = None if end == regular else end
        found.append(Candle(start, o, high, low, c, volume, quote, trades, taker, taken, early))
    return found


PROVIDER = BinanceArchive()
