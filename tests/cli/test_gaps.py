"""coverage, gaps and repair: what is missing, why, and asking again for exactly that."""

from pathlib import Path

from tests.conftest import Histq, source_at
from tests.hourly import HOUR_MS, opens, page
from tests.loopback import Asked, Loopback, Says

START = 1_704_067_200_000  # 2024-01-01
PAGES = 5
OUTAGE = range(1_200, 1_203)
BROKEN = (1, 3)  # the pages that fail, until the provider heals
FETCH = ("fetch", "BTC", "-s", "binance", "--from", "2024-01-01", "--to", "2024-07-27T08:00Z")


def hours(asked: Asked) -> Says:
    """5,000 hours, but for an outage of three in the second page."""
    known = (START + slot * HOUR_MS for slot in range(PAGES * 1000) if slot not in OUTAGE)
    wanted = opens(asked)
    return page(opened for opened in known if opened in wanted)


def faulty(asked: Asked) -> Says:
    page = (int(asked.query["startTime"]) - START) // HOUR_MS // 1000
    return Says(b"gone fishing", 503) if page in BROKEN else hours(asked)


def test_gaps_names_what_failed_and_repair_asks_for_exactly_that(histq: Histq) -> None:
    with Loopback(faulty) as server:
        settings = source_at("binance", server.url)
        assert histq(*FETCH, **settings).code == 3
        histq("consume")
        broken = histq("gaps", "--json")
        asked_before = len(server.log)

        server.answer_with(hours)
        repaired = histq("repair", "--json", **settings)
        histq("consume")
        healed = histq("gaps", "--json")

    assert broken.code == 3
    assert [
        ((gap["start"] - START) // HOUR_MS, gap["slots"], gap["why"])
        for gap in broken.document["gaps"]
    ] == [(1000, 1000, "failed"), (3000, 1000, "failed")]
    assert "HTTP 503 gone fishing" in broken.document["gaps"][0]["reason"]
    assert repaired.code == 0, repaired.err
    assert sorted(
        (int(asked.query["startTime"]) - START) // HOUR_MS for asked in server.log[asked_before:]
    ) == [1000, 3000]
    assert healed.code == 0
    assert [
        ((gap["start"] - START) // HOUR_MS, gap["slots"], gap["why"], gap["explained"])
        for gap in healed.document["gaps"]
    ] == [(1200, 3, "empty, confirmed", True)]


def archive(place: Path, *slots: int) -> str:
    """A file of the archive with these hours."""
    file = place / "BTCUSDT-1h-2024-01.csv"
    rows = [(START + slot * HOUR_MS, START + (slot + 1) * HOUR_MS - 1) for slot in slots]
    file.write_text("".join(f"{a},3,4,2,3.5,10,{b},35,7,5,17,0\n" for a, b in rows))
    return file.name


def test_what_an_imported_file_lacks_was_never_asked_for_and_repair_does(
    histq: Histq, place: Path
) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        histq("init")
        assert histq("import", archive(place, *range(6), 8, *range(12, 20))).code == 0
        before = histq("gaps", "--json")

        repaired = histq("repair", "--json", **settings)
        histq("consume")
        after = histq("gaps", "--json")
        asked = [(int(a.query["startTime"]), int(a.query["endTime"])) for a in server.log]

    assert before.code == 3
    assert [
        ((gap["start"] - START) // HOUR_MS, gap["slots"], gap["why"])
        for gap in before.document["gaps"]
    ] == [(6, 2, "never asked"), (9, 3, "never asked")]
    assert (repaired.code, repaired.document["requests"]) == (0, 2)
    assert repaired.document["queued_points"] == 5
    assert sorted(asked) == [
        (START + 6 * HOUR_MS, START + 8 * HOUR_MS - 1),
        (START + 9 * HOUR_MS, START + 12 * HOUR_MS - 1),
    ]
    assert (after.code, after.document["gaps"]) == (0, [])
    assert histq("coverage", "--json").document["series"][0]["stored"] == 20


def test_an_imported_hole_that_the_provider_has_neither_is_confirmed_by_asking_twice(
    histq: Histq, place: Path
) -> None:
    at_once = {"HISTQ_GAPS__CONFIRM_AFTER_S": "0"}
    with Loopback(hours) as server:
        settings = {**source_at("binance", server.url), **at_once}
        histq("init")
        histq("import", archive(place, *range(1_190, 1_200), *range(1_203, 1_210)))

        histq("repair", **settings)
        once = histq("gaps", "--json", **at_once)
        histq("repair", **settings)
        twice = histq("gaps", "--json", **at_once)
        histq("repair", **settings)
        asked = [(int(a.query["startTime"]) - START) // HOUR_MS for a in server.log]

    assert (once.code, [gap["why"] for gap in once.document["gaps"]]) == (
        3,
        ["empty, not confirmed yet"],
    )
    assert (twice.code, [gap["why"] for gap in twice.document["gaps"]]) == (
        0,
        ["empty, confirmed"],
    )
    assert asked == [1_200, 1_200]


def test_nobody_can_be_asked_for_the_holes_of_a_source_that_only_an_import_knows(
    histq: Histq, place: Path
) -> None:
    histq("init")
    histq("import", "-s", "kraken", archive(place, 0, 1, 4))

    found = histq("gaps", "-s", "kraken", "--json")
    repaired = histq("repair", "-s", "kraken", "--json")

    assert (found.code, found.document["unexplained"]) == (3, 1)
    assert repaired.code == 3
    assert repaired.document["skipped"] == [
        {"source": "kraken", "why": "kraken/BTCUSDT/1h: this histq has no such source"}
    ]


def test_repair_asks_for_nothing_where_nothing_is_missing(histq: Histq) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        histq(*FETCH, **settings)
        asked_before = len(server.log)

        repaired = histq("repair", "--json", **settings)

    assert repaired.code == 0
    assert repaired.document["requests"] == 0
    assert len(server.log) == asked_before


def test_coverage_counts_what_is_there_of_what_is_wanted(histq: Histq) -> None:
    with Loopback(faulty) as server:
        histq(*FETCH, **source_at("binance", server.url))
        histq("consume")
        found = histq("coverage", "BTCUSDT", "--json").document

    (series,) = found["series"]
    assert (series["slots"], series["stored"], series["lacking"]) == (5000, 3000, 2000)
    assert series["accepted"] == 0
    assert series["share"] == 0.6
    # The second page, hours 1000 to 1999, is missing from February 11 at 16:00 to March 24 at 8:00.
    lacking = [month["lacking"] for month in found["months"]]
    assert lacking[:3] == [0, 18 * 24 + 8, 23 * 24 + 8]
    assert sum(lacking) == 2000


def test_the_month_by_month_bar_shows_what_is_lacking(histq: Histq) -> None:
    with Loopback(faulty) as server:
        histq(*FETCH, **source_at("binance", server.url))
        histq("consume")

        shown = histq("coverage", "BTC").out

    january = next(line for line in shown.splitlines() if line.startswith("2024-01"))
    march = next(line for line in shown.splitlines() if line.startswith("2024-03"))
    assert january.split()[:2] == ["2024-01", "█" * 31]
    assert march.split()[1].count("·") == 23
    assert march.split()[1].count("█") == 8


def test_gaps_of_an_unknown_series_is_a_mistake(histq: Histq) -> None:
    with Loopback(hours) as server:
        histq(*FETCH, **source_at("binance", server.url))

        ended = histq("gaps", "DOGE")

    assert ended.code == 2
    assert ended.err == "histq: no such series in this database; histq stats lists them\n"


def test_gaps_without_a_database_says_so(histq: Histq) -> None:
    assert histq("gaps").code == 10
    assert histq("coverage").code == 10
    assert histq("repair").code == 10


def test_a_candle_that_was_open_by_the_providers_clock_is_not_closed_yet(histq: Histq) -> None:
    clock = {"now": START + 1000 * HOUR_MS - 1}

    def told(asked: Asked) -> Says:
        return hours(asked)._replace(now=clock["now"])

    with Loopback(told) as server:
        settings = source_at("binance", server.url)
        histq(*FETCH[:-1], "2024-02-11T16:00Z", **settings)  # exactly a page
        histq("consume")
        before = histq("gaps", "--json")
        clock["now"] += HOUR_MS
        histq(*FETCH[:-1], "2024-02-11T16:00Z", **settings)
        histq("consume")
        after = histq("gaps", "--json")

    assert (before.code, after.code) == (0, 0)
    assert [(gap["start"], gap["slots"], gap["why"]) for gap in before.document["gaps"]] == [
        (START + 999 * HOUR_MS, 1, "not closed yet")
    ]
    assert after.document["gaps"] == []
