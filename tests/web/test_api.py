"""The documents of the API, over real HTTP from a real database."""

import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from histq.model import Candle, Series, Window
from histq.page import flatten
from histq.settings import Settings
from histq.stores.alerts import Alert, Severity
from histq.web.api import ENDPOINTS
from tests.conftest import Histq
from tests.web import BTC, DAY, HOUR, NOON, hours, opener, serving, settings_in


def got(client: httpx.Client, path: str, **parameters: object) -> Any:
    answer = client.get(path, params={name: str(value) for name, value in parameters.items()})
    assert answer.status_code == 200, answer.text
    document = answer.json()
    assert document.pop("schema") == 1
    return document


def refused(client: httpx.Client, path: str) -> tuple[int, str]:
    answer = client.get(path)
    return answer.status_code, answer.json()["error"]


def prices(client: httpx.Client, **more: object) -> Any:
    return got(client, "/api/prices", source="binance", symbol="BTCUSDT", interval="1h", **more)


def times(document: Any) -> list[int]:
    return [candle["timestamp"] for candle in document["candles"]]


def test_the_process_is_alive(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"schema": 1, "status": "ok", "version": "0.1.0"}


def test_all_is_ready(client: httpx.Client) -> None:
    answer = client.get("/readyz")

    assert answer.status_code == 200
    assert answer.json() == {
        "schema": 1,
        "ready": True,
        "checks": [
            {"check": name, "ok": True, "why": ""} for name in ("series", "queue", "database")
        ],
    }


def test_a_stale_series_and_a_deep_queue_are_not_ready(settings: Settings) -> None:
    shallow = settings.model_copy(
        update={"queue": settings.queue.model_copy(update={"alert_depth": 2})}
    )

    with serving(shallow, clock=lambda: NOON + 3 * HOUR) as client:
        answer = client.get("/readyz")

    assert answer.status_code == 503
    assert answer.json()["ready"] is False
    assert [check["why"] for check in answer.json()["checks"]] == [
        "binance/BTCUSDT/1h ends with 2023-11-15T11:00Z, 3 h late",
        "3 points wait in the queue, more than queue.alert_depth = 2",
        "",
    ]


def test_without_a_database_the_process_lives_and_says_what_is_wrong(tmp_path: Path) -> None:
    with serving(settings_in(tmp_path)) as client:
        ready, stats = client.get("/readyz"), client.get("/api/stats")

        assert client.get("/healthz").status_code == 200
        assert client.get("/").status_code == 200
    why = f"no database at {tmp_path}/histq.db; histq fetch or histq init makes one"
    assert (ready.status_code, stats.status_code) == (503, 503)
    assert ready.json()["checks"] == [{"check": "database", "ok": False, "why": why}]
    assert stats.json() == {"schema": 1, "error": why}
    assert int(stats.headers["retry-after"]) > 0


def test_a_database_that_is_replaced_is_seen_at_once(settings: Settings, tmp_path: Path) -> None:
    other = settings_in(tmp_path / "other")
    (tmp_path / "other").mkdir()
    with opener(other).open(create=True):
        pass
    with serving(settings) as client:
        before = got(client, "/api/series")["series"]

        for old in tmp_path.glob("histq.db*"):
            old.unlink()
        other.database.path.rename(settings.database.path)

        assert len(before) == 2
        assert got(client, "/api/series")["series"] == []


def test_stats_are_those_of_the_command(
    client: httpx.Client, settings: Settings, histq: Histq
) -> None:
    told = histq("stats", "--json", "--db", str(settings.database.path)).document

    found = client.get("/api/stats").json()

    for document in (told, found):
        assert document["queue"].pop("oldest_age_s") >= 0
        assert document["database"].pop("bytes") > 0
    assert found == told
    assert found["queue"]["points"] == 3


def test_series_have_their_ends_and_how_late_they_are(client: httpx.Client) -> None:
    btc, eth = got(client, "/api/series")["series"]

    assert btc == {
        "source": "binance",
        "symbol": "BTCUSDT",
        "interval": "1h",
        "points": 48,
        "first": NOON - 48 * HOUR,
        "last": NOON - HOUR,
        "missing": 0,
        "failed": 0,
        "late_s": 0.0,
        "stale": False,
    }
    assert (eth["points"], eth["missing"], eth["failed"]) == (4, 2, 1)
    assert (eth["late_s"], eth["stale"]) == (None, None)


def test_health_is_everything_in_one_look(settings: Settings) -> None:
    with serving(settings, environment="preview") as client:
        found = got(client, "/api/health")

    assert (found["ready"], found["environment"], found["version"]) == (True, "preview", "0.1.0")
    assert found["health"]["at"] == NOON
    assert found["health"]["queue"]["points"] == 3
    assert found["health"]["failure_rate"] == pytest.approx(2 / 60)
    assert [host["source"] for host in found["health"]["hosts"]] == ["binance", "binance-archive"]


def test_the_queue_is_told_with_its_dead_letters(client: httpx.Client) -> None:
    found = got(client, "/api/queue")

    assert found["queue"]["messages"] == 1
    assert found["alert_depth"] == 10_000
    assert found["next_due_at"] is None
    assert found["dead_letters"] == [
        {
            "source": "binance",
            "symbol": "ETHUSDT",
            "interval": "1h",
            "reason": "poison",
            "letters": 2,
            "last_at": NOON - 1000,
            "error": "high 1.0 is below low <b>9.0</b>",
        }
    ]


def test_alerts_are_those_that_hold_the_worst_first(
    client: httpx.Client, settings: Settings
) -> None:
    late = Alert(0, "series_stale", "binance/BTCUSDT/1h", Severity.WARNING, "late", NOON, NOON + 5)
    refused = Alert(
        0, "source_refuses", "binance", Severity.CRITICAL, "HTTP 403", NOON + 7, NOON + 7
    )
    suspected = Alert(0, "queue_deep", "queue", Severity.WARNING, "deep", NOON)
    over = Alert(0, "disk_low", "disk", Severity.CRITICAL, "full", NOON, NOON, NOON, NOON + 9)
    assert got(client, "/api/alerts") == {"alerts": []}
    with opener(settings).open(create=False) as backends:
        for alert in (late, refused, suspected, over):
            backends.store.alerts.keep(alert)

    found = got(client, "/api/alerts")["alerts"]

    assert [alert["name"] for alert in found] == ["source_refuses", "series_stale"]
    assert found[1] == {
        "name": "series_stale",
        "subject": "binance/BTCUSDT/1h",
        "severity": "warning",
        "since": NOON,
        "started_at": NOON + 5,
        "text": "late",
    }


def test_throughput_is_summed_by_step_and_source(settings: Settings) -> None:
    def now() -> int:
        return round(datetime.datetime.now(datetime.UTC).timestamp() * 1000)

    with serving(settings, clock=now) as client:
        found = got(client, "/api/throughput", **{"from": "1h", "step_s": 3600})
        by_default = got(client, "/api/throughput")

    (step,) = found["steps"]
    assert step.pop("start") % HOUR == 0
    assert step == {
        "source": "binance",
        "batches": 1,
        "messages": 2,
        "points": 60,
        "inserted": 52,
        "duplicates": 6,
        "revised": 1,
        "dead": 2,
        "elapsed_ms": 30.0,
    }
    assert by_default["end"] - by_default["start"] == DAY
    assert by_default["step_ms"] == HOUR // 4
    assert len(by_default["steps"]) == 1


@pytest.mark.parametrize(
    ("since", "step_ms"),
    [("10m", 10_000), ("2h", 60_000), ("30d", 6 * HOUR), ("100w", 7 * DAY), ("listing", 168 * DAY)],
)
def test_a_longer_stretch_has_longer_steps(client: httpx.Client, since: str, step_ms: int) -> None:
    assert got(client, "/api/throughput", **{"from": since})["step_ms"] == step_ms


def test_coverage_is_a_heat_map(client: httpx.Client) -> None:
    found = got(client, "/api/coverage")

    assert found["unit"] == "day"
    assert found["starts"] == [NOON - 60 * HOUR, NOON - 36 * HOUR, NOON - 12 * HOUR]
    assert [row["symbol"] for row in found["rows"]] == ["BTCUSDT", "ETHUSDT"]
    assert [row["shares"] for row in found["rows"]] == [
        [1.0, 1.0, 1.0],
        [None, None, pytest.approx(4 / 6)],
    ]


def test_coverage_of_some_series_is_asked_for_as_on_the_command_line(client: httpx.Client) -> None:
    found = got(client, "/api/coverage", symbol="eth", source="binance")

    assert [row["symbol"] for row in found["rows"]] == ["ETHUSDT"]


def test_prices_are_whole_candles(client: httpx.Client) -> None:
    found = prices(client, limit=1)

    assert found["source"] == "binance"
    assert found["candles"] == [
        {
            "timestamp": NOON - 48 * HOUR,
            "open": 49.0,
            "high": 50.0,
            "low": 48.5,
            "close": 49.5,
            "volume": 10.0,
            "quote_volume": None,
            "trades": None,
            "taker_buy_volume": None,
            "taker_buy_quote_volume": None,
            "close_time": None,
        }
    ]


@pytest.mark.parametrize("limit", [1, 7, 47, 48, 49, 5000])
def test_pages_follow_each_other_without_a_hole_or_a_repeat(
    client: httpx.Client, limit: int
) -> None:
    seen: list[int] = []
    cursor: dict[str, str] = {}
    pages = 0
    while True:
        found = prices(client, limit=limit, **cursor)
        seen += times(found)
        pages += 1
        if found["next"] is None:
            break
        cursor = {"cursor": found["next"]}

    assert seen == [NOON - n * HOUR for n in range(48, 0, -1)]
    assert pages == -(-48 // limit)


@pytest.mark.parametrize(
    ("bounds", "first", "last"),
    [
        pytest.param({"from": "2023-11-15"}, 12, 1, id="from a day"),
        pytest.param({"from": "2023-11-15T10:00Z"}, 2, 1, id="from a time"),
        pytest.param({"to": "2023-11-14"}, 48, 37, id="to, exclusive"),
        pytest.param({"from": "3h"}, 3, 1, id="ago"),
        pytest.param({"from": "listing", "to": "now"}, 48, 1, id="all of it"),
        pytest.param({"from": "2h", "cursor": NOON - 9 * HOUR}, 2, 1, id="a cursor before from"),
    ],
)
def test_a_range_is_given_as_on_the_command_line(
    client: httpx.Client, bounds: dict[str, object], first: int, last: int
) -> None:
    found = times(prices(client, **bounds))

    assert (found[0], found[-1]) == (NOON - first * HOUR, NOON - last * HOUR)


def test_the_end_of_a_range_holds_across_pages(client: httpx.Client) -> None:
    bounds = {"from": "2023-11-15", "to": "2023-11-15T03:00Z"}

    first = prices(client, limit=2, **bounds)
    second = prices(client, limit=2, cursor=first["next"], **bounds)

    assert times(first) == [NOON - 12 * HOUR, NOON - 11 * HOUR]
    assert times(second) == [NOON - 10 * HOUR]
    assert second["next"] is None


def test_what_is_stored_meanwhile_comes_with_the_next_page(
    client: httpx.Client, settings: Settings
) -> None:
    first = prices(client, limit=47)
    with opener(settings).open(create=False) as backends:
        backends.store.write(BTC, flatten(hours(0)))

    second = prices(client, limit=47, cursor=first["next"])

    assert times(second) == [NOON - HOUR, NOON]


WHICH = "/api/prices?source=binance&symbol=BTCUSDT&interval=1h"


@pytest.mark.parametrize(
    ("path", "status", "why"),
    [
        ("/api/prices", 400, "source is missing"),
        ("/api/prices?source=binance&symbol=&interval=1h", 400, "symbol is missing"),
        (
            "/api/prices?source=binance&symbol=BTCUSDT&interval=2h",
            404,
            "no series binance/BTCUSDT/2h in this database; /api/series lists them",
        ),
        (f"{WHICH}&limit=0", 400, "limit must be from 1 to 5000, is 0"),
        (f"{WHICH}&limit=5001", 400, "limit must be from 1 to 5000, is 5001"),
        (f"{WHICH}&limit=-1", 400, "limit '-1' is no whole number"),
        (f"{WHICH}&limit=1_0", 400, "limit '1_0' is no whole number"),
        (f"{WHICH}&limit=%D9%A1", 400, "limit '\u0661' is no whole number"),
        (f"{WHICH}&cursor=next", 400, "cursor 'next' is no whole number"),
        (f"{WHICH}&cursor=9223372036854775808", 400, "cursor must be from 0 to"),
        (f"{WHICH}&from=soon", 400, "from 'soon' is no date; write 2024-01-01"),
        (f"{WHICH}&from=2d&to=3d", 400, "from 2d is not before to 3d"),
        (f"{WHICH}&from=2030-01-01", 400, "from 2030-01-01 is in the future"),
        (f"{WHICH}&from=1960-01-01", 400, "from 1960-01-01 is before 1970"),
        (f"{WHICH}&from=1d&from=2d", 400, "from is given twice"),
        (f"{WHICH}&form=1d", 400, "no parameter 'form'; known: source, symbol, interval, from"),
        (f"{WHICH}{'&a=b' * 40}", 400, "more than 32 parameters"),
        ("/api/stats?x=1", 400, "no parameter 'x'; known: none"),
        ("/api/throughput?from=3w&step_s=1", 400, "step_s 1 cuts that into more than 2000 steps"),
        ("/api/throughput?from=", 400, "from '' is no date"),
        ("/api/throughput?to=2023-01-01", 400, "from 1d is not before to 2023-01-01"),
        ("/api/coverage?symbol=NOPE", 400, "no such series in this database"),
        ("/api/coverage?symbol=a%20b", 400, "no symbol 'a b'"),
        ("/api/coverage?interval=7m", 400, "no interval '7m'; known: 1s, 1m"),
        ("/api/coverage?source=krakn", 400, "no source 'krakn'"),
        ("/api/stats/", 404, "nothing is here; /api/openapi.json says what there is"),
        ("/assets/", 404, "nothing is here"),
        ("/assets/app.py", 404, "nothing is here"),
    ],
)
def test_a_wrong_question_is_answered_with_what_is_wrong(
    client: httpx.Client, path: str, status: int, why: str
) -> None:
    found, said = refused(client, path)

    assert (found, said[: len(why)]) == (status, why)


@pytest.fixture
def described(client: httpx.Client) -> Any:
    return client.get("/api/openapi.json").json()


def test_the_description_names_every_path_and_parameter(described: Any) -> None:
    assert described["openapi"] == "3.1.0"
    assert set(described["paths"]) == {
        *("/healthz", "/readyz", "/metrics"),
        *(endpoint.path for endpoint in ENDPOINTS),
    }
    found = described["paths"]["/api/prices"]["get"]["parameters"]
    assert [(one["name"], one["required"]) for one in found] == [
        *(("source", True), ("symbol", True), ("interval", True)),
        *(("from", False), ("to", False), ("limit", False), ("cursor", False)),
    ]


def test_every_reference_of_the_description_leads_somewhere(described: Any) -> None:
    text = msgspec.json.encode(described).decode()
    names = {part.split('"')[0] for part in text.split('"#/components/schemas/')[1:]}

    assert names
    assert names <= set(described["components"]["schemas"])


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_an_answer_is_of_the_described_type(client: httpx.Client, endpoint: Any) -> None:
    wanted = {"source": "binance", "symbol": "BTCUSDT", "interval": "1h"}
    required = {one.name: wanted[one.name] for one in endpoint.parameters if one.required}

    answer = client.get(endpoint.path, params=required)

    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    msgspec.json.decode(answer.content, type=endpoint.document, strict=True)


@pytest.mark.parametrize("name", ["dashboard.js", "dashboard.css", "icon.svg", "plotly.min.js", ""])
def test_a_file_comes_compressed_and_only_once(client: httpx.Client, name: str) -> None:
    path = f"/assets/{name}" if name else "/"

    whole = client.get(path, headers={"Accept-Encoding": "identity"})
    packed = client.get(path)
    again = client.get(path, headers={"If-None-Match": packed.headers["etag"]})

    assert "content-encoding" not in whole.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.content == whole.content
    assert packed.headers["vary"] == "Accept-Encoding"
    kept = "max-age=86400" if name == "plotly.min.js" else "no-cache"
    assert packed.headers["cache-control"] == f"private, {kept}"
    assert (again.status_code, again.content) == (304, b"")


def test_a_series_of_any_name_is_found(client: httpx.Client, settings: Settings) -> None:
    odd = Series("my import", "A&B=ü", "1h")
    with opener(settings).open(create=False) as backends:
        backends.store.write(odd, flatten([Candle(NOON, close=1.0)]))

    found = got(client, "/api/prices", source=odd.source, symbol=odd.symbol, interval="1h")

    assert times(found) == [NOON]
    assert Window(NOON, NOON + 1).start == found["candles"][0]["timestamp"]
