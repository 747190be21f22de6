"""doctor, as a user in trouble runs it: one line a check, and never a traceback."""

import json
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils.utils import sqlite3

from tests.conftest import Ended, Histq, source_at
from tests.loopback import Asked, Loopback, Says

ONE_SOURCE = {
    "HISTQ_SOURCES__COINGECKO__ENABLED": "false",
    "HISTQ_SOURCES__CRYPTOCOMPARE__ENABLED": "false",
}


def checks(ended: Ended) -> dict[str, dict[str, Any]]:
    return {one["check"]: one for one in ended.document["checks"]}


def kline(asked: Asked, now: int | None = None) -> Says:
    start, end = int(asked.query["startTime"]), int(asked.query["endTime"])
    row = [start, "3", "4", "2", "3.5", "1", end, "35", 7, "5", "17", "0"]
    return Says(json.dumps([row]).encode(), now=now)


def test_a_healthy_machine_is_told_so(histq: Histq) -> None:
    histq("init")
    with Loopback(kline) as server:
        settings = {**ONE_SOURCE, **source_at("binance", server.url)}
        ended = histq("doctor", "--json", **settings)

    found = checks(ended)
    assert ended.code == 0, ended
    assert (ended.document["schema"], ended.document["failed"]) == (1, 0)
    assert {name for name, one in found.items() if one["health"] != "ok"} <= {"sqlite"}
    assert set(found) >= {
        *("python", "sqlite", "open files", "state folder", "settings", "file system"),
        *("free space", "commit", "database", "write-ahead log", "damage", "queue", "leases"),
        *("binance", "binance answers", "binance clock"),
    }
    assert len(server.log) == 1


def test_each_check_is_a_line_that_says_what_to_do(histq: Histq) -> None:
    ended = histq("doctor", "--offline", **ONE_SOURCE)

    assert ended.code == 0
    *lines, last = ended.out.splitlines()
    assert all(line.split()[0] in ("ok", "warning") for line in lines)
    assert "warning database: no database at histq.db; histq fetch or histq init makes one" in lines
    assert last.startswith("0 failed, ")


def test_quiet_shows_only_what_needs_a_look(histq: Histq) -> None:
    ended = histq("doctor", "--offline", "-q", **ONE_SOURCE)

    assert [line for line in ended.out.splitlines() if line.startswith("ok")] == []


def test_offline_asks_nobody(histq: Histq) -> None:
    with Loopback(kline) as server:
        ended = histq("doctor", "--offline", **ONE_SOURCE, **source_at("binance", server.url))

    assert ended.code == 0
    assert server.log == []


def test_a_source_that_does_not_answer_has_failed(histq: Histq) -> None:
    settings = source_at("binance", "http://127.0.0.1:1")

    ended = histq("doctor", "--json", **ONE_SOURCE, **settings)

    assert ended.code == 3
    assert checks(ended)["binance answers"]["health"] == "failed"


@pytest.mark.parametrize("status", [403, 429, 451, 500])
def test_a_source_that_refuses_has_failed(status: int, histq: Histq) -> None:
    with Loopback(lambda asked: Says(b"no", status)) as server:
        ended = histq("doctor", "--json", **ONE_SOURCE, **source_at("binance", server.url))

    assert ended.code == 3
    assert checks(ended)["binance answers"]["health"] == "failed"
    assert len(server.log) == 1


def test_a_clock_that_is_wrong_is_a_warning(histq: Histq) -> None:
    with Loopback(lambda asked: kline(asked, now=1_704_067_200_000)) as server:
        ended = histq("doctor", "--json", **ONE_SOURCE, **source_at("binance", server.url))

    clock = checks(ended)["binance clock"]
    assert ended.code == 0
    assert clock["health"] == "warning"
    assert clock["found"].startswith("binance has 2024-01-01, this machine 2")


def test_a_source_without_its_key_is_a_warning(histq: Histq) -> None:
    found = checks(histq("doctor", "--offline", "--json"))["cryptocompare"]

    assert found["health"] == "warning"
    assert "HISTQ_SOURCES__CRYPTOCOMPARE__API_KEY" in found["found"]


def test_a_setting_that_is_doubtful_is_a_warning(histq: Histq) -> None:
    ended = histq("doctor", "--offline", HISTQ_SOURCES__COINGECKO__PLAN="paid")

    assert "warning settings: sources.coingecko: plan paid needs an api_key" in ended.out


def wreck(kind: str, place: Path) -> Mapping[str, str]:
    """Puts the place in a state; what to set in the environment."""
    path = place / "histq.db"
    match kind:
        case "settings":
            (place / "histq.toml").write_text("[queue]\nlease_s = 0\n")
        case "no toml":
            (place / "histq.toml").write_text("[queue\n")
        case "text":
            path.write_text("no database, but long enough to be taken for one" * 100)
        case "cut":
            path.write_bytes(path.read_bytes()[:8192])
        case "foreign":
            path.unlink()
            with closing(sqlite3.connect(path)) as conn:
                conn.execute("create table mine (a)")
        case "folder":
            path.unlink()
            path.mkdir()
        case "newer":
            with closing(sqlite3.connect(path, isolation_level=None)) as conn:
                conn.execute("insert into _sqlite_migrations values (9, 'histq', '0999_x', '')")
        case "no folder":
            return {"HISTQ_DB": str(place / "absent" / "histq.db")}
        case "no sources":
            return {"HISTQ_SOURCES__BINANCE__ENABLED": "false"}
        case "proxy":
            return {"ALL_PROXY": "socks5://127.0.0.1:1", "NO_PROXY": ""}
        case "full":
            return {"HISTQ_DATABASE__MIN_FREE_BYTES": str(2**50)}
    return {}


@pytest.mark.parametrize(
    "kind",
    [
        *("settings", "no toml", "text", "cut", "foreign", "folder", "newer", "no folder"),
        *("no sources", "proxy", "full"),
    ],
)
def test_whatever_the_state_it_is_told_without_a_traceback(
    kind: str, histq: Histq, place: Path
) -> None:
    histq("init")
    extra = wreck(kind, place)

    offline = () if kind == "proxy" else ("--offline",)
    ended = histq("doctor", *offline, **{**ONE_SOURCE, **extra})

    assert ended.code == 3, ended
    assert "Traceback" not in ended.err
    assert "unexpected" not in ended.out
    assert "ok      python: " in ended.out
    assert [line for line in ended.out.splitlines() if line.startswith("failed")] != []
