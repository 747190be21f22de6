"""What becomes of a user's files: stored, compared, buried; the ledger; what is refused."""

from pathlib import Path
from typing import Any

import pytest
import sqlite_utils

from histq.config import load
from histq.errors import Config, DatabaseMissing, Usage
from histq.model import Candle, Draft, Series, Window
from histq.page import flatten, pack
from histq.pipeline.backends import Backends, Opener
from histq.pipeline.import_files import Asked
from histq.pipeline.imports import ImportJob, ImportReport, import_files
from histq.pipeline.reports import ConsumeReport
from histq.pipeline.runs import RunLog
from histq.stop import Stop
from tests.conftest import Histq

HOUR = 3_600_000
START = 1_704_067_200_000  # 2024-01-01
NOW = START + 1000 * HOUR
BTC = Series("binance", "BTCUSDT", "1h")
ETH = Series("binance", "ETHUSDT", "1h")


class Quiet:
    """Watches nothing."""

    def waiting_points(self, points: int) -> None: ...

    def stored(self, report: ConsumeReport) -> None: ...

    def idle(self, why: str) -> None: ...


class Stopping(Quiet):
    """Stops the work as soon as a batch is stored."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    def stored(self, report: ConsumeReport) -> None:
        self._stop.set()


def line(slot: int, close: str = "3.5", high: str = "4") -> str:
    opened = START + slot * HOUR
    return f"{opened},3,{high},2,{close},10,{opened + HOUR - 1},35,7,5,17,0\n"


def csv(folder: Path, *lines: str, name: str = "BTCUSDT-1h-2024-01.csv") -> Path:
    path = folder / name
    path.write_text("".join(lines))
    return path


def sqlite(folder: Path, rows: list[dict[str, Any]], table: str = "historical_prices") -> Path:
    path = folder / "old.db"
    db = sqlite_utils.Database(path)
    db.enable_wal()
    db.table(table).insert_all(rows)
    db.close()
    return path


def row(slot: int, symbol: str = "BTCUSDT", close: float = 3.5) -> dict[str, Any]:
    """As an older table has it, in seconds."""
    return {
        "symbol": symbol,
        "timestamp": (START + slot * HOUR) // 1000,
        "open": 3.0,
        "high": 4.0,
        "low": 2.0,
        "close": close,
        "volume": 10.0,
        "source": "binance",
    }


def run(
    opener: Opener,
    *files: Path,
    dry_run: bool = False,
    stop: Stop | None = None,
    now: int = NOW,
    **asked: str,
) -> ImportReport:
    job = ImportJob(
        opener=opener,
        files=files,
        asked=Asked(**asked),
        runs=RunLog("import", opener.owner),
        stop=Stop() if stop is None else stop,
        watcher=Quiet() if stop is None else Stopping(stop),
        dry_run=dry_run,
        clock=lambda: now,
    )
    return import_files(job)


def figures(report: ImportReport) -> dict[str, tuple[int, ...]]:
    """Symbol to rows, inserted, equal, different, buried, not closed."""
    return {
        one.symbol: (
            *(one.rows, one.inserted, one.equal, one.different, one.buried),
            one.not_closed,
        )
        for one in report.series
    }


def closes(backends: Backends, series: Series = BTC) -> dict[int, float | None]:
    """Slot to close."""
    found = backends.store.candles(series, Window(0, 2 * NOW))
    return {(candle.timestamp - START) // HOUR: candle.close for candle in found}


def spans(backends: Backends, series: Series = BTC) -> list[tuple[int, int, str]]:
    return [
        ((span.start - START) // HOUR, (span.end - START) // HOUR, span.state.value)
        for span in backends.store.spans(series)
    ]


def test_a_file_ends_in_the_table_and_its_holes_stay_unknown(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    report = run(opener, csv(tmp_path, line(0), line(1), line(4)))

    assert figures(report) == {"BTCUSDT": (3, 3, 0, 0, 0, 0)}
    assert report.exit_code == 0
    assert closes(backends) == {0: 3.5, 1: 3.5, 4: 3.5}
    assert spans(backends) == [(0, 2, "stored"), (4, 5, "stored")]
    assert backends.queue.depth().messages == 0


def test_what_both_hold_is_compared_and_the_first_value_stays(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    run(opener, csv(tmp_path, line(0), line(1), line(2)))

    report = run(opener, csv(tmp_path, line(1), line(2, close="2.5"), line(3)))

    assert figures(report) == {"BTCUSDT": (3, 1, 1, 1, 0, 0)}
    (difference,) = report.series[0].differences
    assert difference.timestamp == START + 2 * HOUR
    assert difference.values == {"close": (3.5, 2.5)}
    assert closes(backends) == {0: 3.5, 1: 3.5, 2: 3.5, 3: 3.5}
    assert report.consume.revised == 1
    assert backends.database.rows("select timestamp, old, new from revisions") == [
        (START + 2 * HOUR, '{"close": 3.5}', '{"close": 2.5}')
    ]


def test_a_bad_candle_is_buried_and_the_import_incomplete(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    report = run(opener, csv(tmp_path, line(0), line(1, high="1"), line(2)))

    assert figures(report) == {"BTCUSDT": (3, 2, 0, 0, 1, 0)}
    assert (report.exit_code, report.consume.dead) == (3, 1)
    assert closes(backends) == {0: 3.5, 2: 3.5}
    assert spans(backends) == [(0, 1, "stored"), (1, 2, "dead"), (2, 3, "stored")]


def test_a_candle_that_is_still_open_is_left_out(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    report = run(opener, csv(tmp_path, line(0), line(1), line(2)), now=START + 2 * HOUR - 1)

    assert figures(report) == {"BTCUSDT": (3, 1, 0, 0, 0, 2)}
    assert closes(backends) == {0: 3.5}
    assert spans(backends) == [(0, 1, "stored")]


def test_two_files_of_one_window_are_both_read_and_compared(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    first = csv(tmp_path, line(0), line(1))
    second = csv(tmp_path, line(0), line(1, close="2.5"), name="BTCUSDT-1h-again.csv")

    report = run(opener, first, second)

    assert figures(report) == {"BTCUSDT": (4, 2, 1, 1, 0, 0)}
    assert closes(backends) == {0: 3.5, 1: 3.5}


def test_what_a_file_says_twice_is_compared_with_what_it_said_first(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    report = run(opener, csv(tmp_path, line(1), line(0), line(1), line(1, close="2.5")))

    assert figures(report) == {"BTCUSDT": (4, 2, 1, 1, 0, 0)}
    assert closes(backends) == {0: 3.5, 1: 3.5}


def test_what_was_queued_before_comes_first(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    fetched = Candle(START, open=3.0, high=4.0, low=2.0, close=2.25, volume=10.0)
    window = Window(START, START + 2 * HOUR)
    backends.queue.put([Draft(BTC, window, 1, pack(flatten([fetched])))])

    report = run(opener, csv(tmp_path, line(0)))

    assert figures(report) == {"BTCUSDT": (1, 0, 0, 1, 0, 0)}
    assert closes(backends) == {0: 2.25}


def test_a_file_that_breaks_off_is_imported_so_far_and_the_next_one_too(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    cut = csv(tmp_path, *(line(slot) for slot in range(8)), line(8)[:20])
    whole = csv(tmp_path, line(0), name="ETHUSDT-1h-2024-01.csv")

    report = run(opener, cut, whole)

    assert figures(report) == {"BTCUSDT": (8, 8, 0, 0, 0, 0), "ETHUSDT": (1, 1, 0, 0, 0, 0)}
    (failure,) = report.failures
    assert failure.error == (
        f"{cut}: line 9: 5 columns, a line of Binance's archive has 12, from open time to ignore"
    )
    assert report.exit_code == 3


def test_more_than_the_queue_may_hold_is_stored_in_turns(tmp_path: Path) -> None:
    values = {"database": {"path": str(tmp_path / "histq.db")}, "queue": {"max_depth": 1000}}
    opener = Opener(load(values, plain=True).settings, "host:boot:1:0:test")
    opener.open(create=True).close()

    report = run(opener, csv(tmp_path, *map(line, range(2500))), now=START + 3000 * HOUR)

    assert figures(report) == {"BTCUSDT": (2500, 2500, 0, 0, 0, 0)}
    with opener.open(create=False) as backends:
        batches = backends.database.rows("select points from ingestion_stats order by id")
    assert batches == [(1000,), (1000,), (500,)]


def test_a_stop_leaves_the_rest_and_claims_nothing(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    first = csv(tmp_path, line(0))
    second = csv(tmp_path, line(0), name="ETHUSDT-1h-2024-01.csv")

    report = run(opener, first, second, stop=Stop())

    assert [(one.symbol, one.inserted, one.left) for one in report.series] == [("BTCUSDT", 0, 1)]
    assert closes(backends, ETH) == {}


def test_a_dry_run_compares_and_changes_nothing(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    run(opener, csv(tmp_path, line(0)))

    report = run(opener, csv(tmp_path, line(0, close="2.5"), line(1)), dry_run=True)

    assert figures(report) == {"BTCUSDT": (2, 1, 0, 1, 0, 0)}
    assert closes(backends) == {0: 3.5}
    assert spans(backends) == [(0, 1, "stored")]
    assert backends.database.value("select count(*) from runs") == 1


def test_an_older_table_enters_by_source_and_symbol(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    rows = [row(1), row(0, "ETH/USDT"), row(0), row(2, close=9.0)]

    report = run(opener, sqlite(tmp_path, rows), interval="1h")

    assert figures(report) == {"BTCUSDT": (3, 2, 0, 0, 1, 0), "ETHUSDT": (1, 1, 0, 0, 0, 0)}
    assert closes(backends) == {0: 3.5, 1: 3.5}
    assert closes(backends, ETH) == {0: 3.5}


def test_a_table_with_intervals_needs_no_option_and_is_left_as_it_was(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    old = sqlite(tmp_path, [{**row(0), "interval": "1h"}], table="My Prices")
    before = old.read_bytes()

    report = run(opener, old, table="my prices")

    assert figures(report) == {"BTCUSDT": (1, 1, 0, 0, 0, 0)}
    assert old.read_bytes() == before
    assert sorted(path.name for path in tmp_path.glob("old.db*")) == ["old.db"]


def test_a_database_of_ours_enters_another_one_whole(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    run(opener, csv(tmp_path, line(0), line(1)))
    values = {"database": {"path": str(tmp_path / "second.db")}}
    second = Opener(load(values, plain=True).settings, "host:boot:1:0:test")

    with second.open(create=True) as others:
        report = run(second, opener.path)
        copied = list(others.store.candles(BTC, Window(0, NOW)))

    assert figures(report) == {"BTCUSDT": (2, 2, 0, 0, 0, 0)}
    assert copied == list(backends.store.candles(BTC, Window(0, NOW)))
    assert copied[0].trades == 7


def test_symbol_and_source_choose_rows_of_a_table(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    old = sqlite(tmp_path, [row(0), row(0, "ETHUSDT")])

    chosen = run(opener, old, interval="1h", symbol="ETH/USDT")
    none = run(opener, old, interval="1h", source="coingecko")

    assert figures(chosen) == {"ETHUSDT": (1, 1, 0, 0, 0, 0)}
    assert figures(none) == {}
    assert "no row is of the symbol, interval and source" in none.failures[0].error
    assert none.exit_code == 3


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param(Asked(), "has no column interval; say with -i", id="no interval"),
        pytest.param(Asked(table="prices"), "no table prices; it has historical", id="no table"),
        pytest.param(Asked(interval="7h"), "no interval '7h'", id="unknown interval"),
    ],
)
def test_a_table_that_does_not_say_enough_is_refused(
    opener: Opener, backends: Backends, tmp_path: Path, asked: Asked, said: str
) -> None:
    with pytest.raises(Usage, match=said):
        run(opener, sqlite(tmp_path, [row(0)]), **asked._asdict())


def test_a_bad_file_is_refused_before_a_good_one_is_touched(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    good = csv(tmp_path, line(0))
    bad = csv(tmp_path, "", name="ETHUSDT-1h-2024-01.csv")

    with pytest.raises(Usage, match="holds no candles"):
        run(opener, good, bad)

    assert closes(backends) == {}


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        pytest.param("BTCUSDT-1h.csv", b"PK\x03\x04rest", "zip archive; unzip it", id="zip"),
        pytest.param("BTCUSDT-1h.csv", b"\x00\xff\xfe\x12", "the first column is", id="binary"),
        pytest.param("prices.csv", b"1", "tells no symbol and interval", id="no name"),
    ],
)
def test_a_file_that_is_no_candles_is_refused(
    opener: Opener, backends: Backends, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    with pytest.raises(Usage, match=said):
        run(opener, path)


def test_a_damaged_sqlite_file_is_refused(
    opener: Opener, backends: Backends, tmp_path: Path
) -> None:
    path = tmp_path / "old.db"
    path.write_bytes(b"SQLite format 3\x00" + b"\x07" * 2000)

    with pytest.raises(Config, match="damaged"):
        run(opener, path, interval="1h")


def test_the_database_itself_is_not_imported(opener: Opener, backends: Backends) -> None:
    with pytest.raises(Usage, match="is the database itself"):
        run(opener, opener.path)


def test_an_import_makes_no_database(opener: Opener, tmp_path: Path) -> None:
    with pytest.raises(DatabaseMissing):
        run(opener, csv(tmp_path, line(0)))


def test_the_recorded_months_enter_and_the_seam_of_2025_is_invisible(
    opener: Opener, backends: Backends, realdata: Path
) -> None:
    months = sorted((realdata / "binance" / "vision_spot_1h").glob("BTCUSDT-*.csv"))

    report = run(opener, *months, now=1_800_000_000_000)

    assert figures(report) == {"BTCUSDT": (5088, 5088, 0, 0, 0, 0)}
    (span,) = backends.store.spans(BTC)
    assert (span.start, span.end) == (1_730_419_200_000, 1_748_736_000_000)
    seam = list(backends.store.candles(BTC, Window(1_735_686_000_000, 1_735_693_200_000)))
    assert [(c.timestamp, c.close, c.close_time) for c in seam] == [
        (1_735_686_000_000, 93_576.0, None),
        (1_735_689_600_000, 94_401.14, None),
    ]


def test_a_recorded_month_with_a_header_keeps_its_hole_and_its_early_close(
    opener: Opener, backends: Backends, realdata: Path
) -> None:
    folder = realdata / "binance" / "vision_spot_1h_2023_header"

    report = run(opener, folder / "BTCUSDT-1h-2023-03.csv", now=1_800_000_000_000)

    assert figures(report) == {"BTCUSDT": (743, 743, 0, 0, 0, 0)}
    before, after = backends.store.spans(BTC)
    assert (before.end, after.start) == (1_679_662_800_000, 1_679_666_400_000)
    halted = next(backends.store.candles(BTC, Window(1_679_659_200_000, NOW)))
    assert (halted.trades, halted.close_time) == (0, 1_679_661_581_646)


def test_a_recorded_file_with_another_first_column_is_refused(
    opener: Opener, backends: Backends, realdata: Path
) -> None:
    path = realdata / "binance" / "daily_since_2017" / "BTCUSDT-1d.csv"

    with pytest.raises(Usage, match="the first column is 'Date'"):
        run(opener, path, now=1_800_000_000_000)


def test_recorded_futures_are_milliseconds_in_2025_under_a_source_of_their_own(
    opener: Opener, backends: Backends, realdata: Path
) -> None:
    (path,) = (realdata / "binance" / "futures_um_contrast").glob("*.csv")

    report = run(opener, path, now=1_800_000_000_000, source="binance-futures")

    (series,) = report.series
    assert (series.source, series.interval, series.inserted) == ("binance-futures", "1m", 2000)
    assert (series.first, series.last) == (1_756_684_800_000, 1_756_804_740_000)


def test_the_command_prints_one_document_and_ends_with_its_code(
    histq: Histq, place: Path, tmp_path: Path
) -> None:
    histq("init")
    path = csv(tmp_path, line(0), line(1, high="1"))

    ended = histq("import", str(path), "--json")
    shown = histq("import", str(path))

    assert ended.code == 3, ended.err
    assert ended.document["schema"] == 1
    assert ended.document["series"][0]["inserted"] == 1
    assert "binance/BTCUSDT/1h" in shown.out
    assert "histq dlq list" in shown.out
