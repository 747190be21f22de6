"""/metrics: names, units, labels, and counters that only grow."""

import re
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from histq.db import Database
from histq.settings import Settings
from histq.stores import Batch
from histq.web import Figure
from tests.web import NOON, opener, serving, settings_in

Labels = dict[str, str]


def scraped(client: httpx.Client) -> dict[str, list[tuple[Labels, float]]]:
    """By name of the sample."""
    answer = client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found: dict[str, list[tuple[Labels, float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def value(found: dict[str, list[tuple[Labels, float]]], name: str, **labels: str) -> float:
    (only,) = [value for known, value in found[name] if {**known, **labels} == known]
    return only


def log(settings: Settings, points: int) -> None:
    with opener(settings).open(create=False) as backends:
        backends.store.log_batch(1, Batch("binance", 1, points, points, 0, 0, 0, 500.0))


def test_the_state_of_everything_is_there_in_base_units(client: httpx.Client) -> None:
    found = scraped(client)

    btc = {"source": "binance", "symbol": "BTCUSDT", "interval": "1h"}
    assert value(found, "histq_queue_points") == 3
    assert value(found, "histq_queue_messages", state="ready") == 1
    assert value(found, "histq_dead_letters", source="binance", reason="poison") == 2
    assert value(found, "histq_series_points", **btc) == 48
    assert value(found, "histq_series_last_timestamp_seconds", **btc) == NOON / 1000 - 3600
    assert value(found, "histq_series_stale", **btc) == 0
    assert value(found, "histq_ready", check="series") == 1
    assert value(found, "histq_batch_failure_ratio") == pytest.approx(2 / 60)
    assert value(found, "histq_batch_seconds_total", source="binance") == 0.03
    assert value(found, "histq_points_total", source="binance", outcome="inserted") == 52
    assert value(found, "histq_points_total", source="binance", outcome="duplicate") == 6
    assert value(found, "histq_points_total", source="binance", outcome="dead") == 2
    assert value(found, "histq_host_budget_left_ratio", source="binance") == 1
    assert value(found, "histq_database_up") == 1
    assert value(found, "histq_database_bytes") > 10_000
    assert value(found, "histq_disk_free_bytes") > 0


def test_every_name_is_ours_and_every_sample_says_the_environment(settings: Settings) -> None:
    with serving(settings, environment="preview", version="1.2.3") as client:
        found = scraped(client)

    assert len(found) > 20
    assert all(re.fullmatch(r"histq_[a-z_]+", name) for name in found)
    samples = [sample for of_one in found.values() for sample in of_one]
    assert {labels["environment"] for labels, _ in samples} == {"preview"}
    assert value(found, "histq_build_info", version="1.2.3") == 1


def test_labels_are_few_whatever_is_asked(client: httpx.Client) -> None:
    for number in range(50):
        client.get(f"/nothing-{number}")
        client.get(f"/api/prices?source=a&symbol=S{number}&interval=1h")
        client.get("/healthz", headers={"Host": f"evil-{number}.example"})

    requests = scraped(client)["histq_http_requests_total"]

    assert {(labels["path"], labels["status"]): value for labels, value in requests} == {
        ("other", "404"): 50,
        ("/api/prices", "404"): 50,
        ("refused", "421"): 50,
    }


def test_counters_grow_with_what_is_consumed_and_outlive_its_record(
    client: httpx.Client, settings: Settings
) -> None:
    def inserted() -> float:
        return value(scraped(client), "histq_points_total", source="binance", outcome="inserted")

    assert inserted() == 52

    log(settings, 100)
    assert inserted() == 152

    with Database.open(settings.database.path) as database, database.transaction():
        database.change("delete from ingestion_stats where points = 60")
    log(settings, 7)
    assert inserted() == 159
    assert inserted() == 159


def test_without_a_database_the_rest_is_told(tmp_path: Path) -> None:
    with serving(settings_in(tmp_path)) as client:
        found = scraped(client)

    assert value(found, "histq_database_up") == 0
    assert "histq_queue_points" not in found
    assert value(found, "histq_process_open_fds") > 0


def test_what_others_know_is_told_too(settings: Settings) -> None:
    def figures() -> list[Figure]:
        about = "1 while the condition lasts"
        return [
            Figure("histq_alert_active", about, 1, {"alert": "queue"}),
            Figure("histq_alert_active", about, 0, {"alert": "disk"}),
            Figure("histq_runs_total", "Runs", 12),
        ]

    with serving(settings, figures=figures) as client:
        found = scraped(client)
        text = client.get("/metrics").text

    assert value(found, "histq_alert_active", alert="queue") == 1
    assert value(found, "histq_alert_active", alert="disk") == 0
    assert value(found, "histq_runs_total") == 12
    assert "# TYPE histq_runs_total counter" in text
    assert text.count("# TYPE histq_alert_active gauge") == 1
