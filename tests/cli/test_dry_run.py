"""fetch --dry-run: what would be asked for and its cost; nobody is asked, nothing is made."""

from pathlib import Path

from tests.cli.test_gaps import FETCH, hours
from tests.conftest import Histq, source_at
from tests.loopback import Loopback


def test_a_dry_run_asks_nobody_and_makes_nothing(histq: Histq, place: Path) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url, requests_per_minute=2)
        planned = histq(*FETCH, "--dry-run", "--json", **settings)

        assert planned.code == 0, planned.err
        assert server.log == []
    assert list(place.iterdir()) == []
    assert planned.document["requests"] == 5
    assert planned.document["points"] == 5000
    (source,) = planned.document["sources"]
    assert (source["cost"], source["unit"]) == (10, "request weight")
    assert source["at_least_s"] == 120  # two at once, two a minute later, the last after two


def test_a_dry_run_knows_what_is_held(histq: Histq) -> None:
    with Loopback(hours) as server:
        settings = source_at("binance", server.url)
        histq(*FETCH, **settings)
        earlier = (*FETCH[:5], "2023-12-31", *FETCH[6:])

        planned = histq(*earlier, "--dry-run", "--json", **settings).document
        nothing = histq(*FETCH, "--dry-run", "--fail-if-empty", **settings)

    (series,) = planned["series"]
    assert (series["requests"], series["points"], series["held"]) == (1, 24, 4997)
    assert (series["start"], series["end"]) == (1_703_980_800_000, 1_704_067_200_000)
    assert nothing.code == 4
