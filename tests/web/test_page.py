"""The dashboard in a real browser: the figures it shows, and that it can be used by anyone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from histq.config import load
from histq.demo import DemoServer
from histq.host import wall_clock
from histq.model import Candle, DeadLetter, Draft, Kind, Reason, Series, Window, iso
from histq.page import flatten, pack
from histq.pipeline.backends import Opener
from histq.pipeline.targets import select
from histq.stores.alerts import Alert, Severity
from histq.web import Server
from tests.conftest import source_at
from tests.web import HOUR, TOKEN, opener, server, settings_in
from tests.web.chromium import Browser, chromium

DRAWN = (
    "document.querySelector('#prices .main-svg') && document.querySelector('#throughput .main-svg')"
)

ALERTS = (
    Alert(0, "queue_slow", "queue", Severity.WARNING, "waits <b>long</b>", 8 * HOUR, 9 * HOUR),
    Alert(0, "disk_low", "disk", Severity.CRITICAL, "make room", 9 * HOUR, 9 * HOUR),
)


class Site(NamedTuple):
    address: str
    api: httpx.Client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a database that the program has filled: six hours of minutes of two markets."""
    made = tmp_path_factory.mktemp("page")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HISTQ_")}
    with DemoServer() as source:
        command = ["sync", "BTC", "ETH", "-s", "demo", "-i", "1m", "--from", "6h", "-q"]
        subprocess.run(
            [sys.executable, "-m", "histq", *command],
            cwd=made,
            env={
                **kept,
                "HOME": str(made),
                "HISTQ_STATE_DIR": str(made / "state"),
                **source_at("demo", source.url, max_wait_s=30),
            },
            check=True,
        )
    return made


@pytest.fixture(scope="module")
def site(folder: Path) -> Iterator[Site]:
    """The server over it; with a page that waits in the queue, and a dead letter."""
    flags = {"database": {"path": str(folder / "histq.db")}, "sources": {"demo": {"enabled": True}}}
    settings = load(flags, plain=True).settings
    opened_by = opener(settings)
    with opened_by.open(create=False) as backends:
        series = Series("demo", "SOLUSDT", "1m")
        window = Window(0, 7 * 60_000)
        candles = flatten([Candle(n * 60_000, close=1.0) for n in range(7)])
        backends.queue.put([Draft(series, window, 7, pack(candles))])
        letter = DeadLetter(
            *(0, Kind.CANDLE, series, window, 1, Reason.POISON, "<script>alert(1)</script>"),
            *(0, 1, 0, HOUR, "{}"),
        )
        backends.queue.keep([letter])
        for alert in ALERTS:
            backends.store.alerts.keep(alert)
    targets = select(settings, ["BTC", "ETH"], ["demo"], ["1m"]).targets
    filled_at = wall_clock()  # in minutes the series would be stale
    one = Server(
        listen="127.0.0.1:0",
        token="",
        opener=opened_by,
        settings=settings,
        targets=targets,
        state_folder=folder / "state",
        environment="preview",
        clock=lambda: filled_at,
    )
    one.start()
    with httpx.Client(base_url=one.address) as api:
        yield Site(one.address, api)
    one.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def page(site: Site, browser: Browser) -> Browser:
    """The dashboard, with its charts drawn."""
    browser.open(site.address)
    browser.wait_for(DRAWN)
    return browser


def series_of(site: Site) -> dict[str, Any]:
    rows = site.api.get("/api/series").json()["series"]
    return {f"{row['source']}/{row['symbol']}/{row['interval']}": row for row in rows}


def test_the_page_shows_the_figures_of_the_database(site: Site, page: Browser) -> None:
    points = sum(row["points"] for row in series_of(site).values())

    assert points > 600
    assert page.text("queue-points") == "7"
    assert page.text("queue-detail") == "candles; pages: 1 ready"
    assert page.text("dead-letters") == "1"
    assert page.text("points") == f"{points:,}"
    assert page.text("points-detail") == "in 2 series"
    assert page.text("environment") == "preview"
    assert page.text("state") == "Ready"
    assert page.text("throughput-summary").startswith(f"{points} candles consumed in 24 h, ")


def test_the_page_shows_how_far_each_series_reaches(site: Site, page: Browser) -> None:
    shown = {
        row[0]: row[1:]
        for row in page.look(
            "[...document.querySelectorAll('#fresh tbody tr')]"
            ".map((row) => [...row.cells].map((cell) => cell.textContent))"
        )
    }

    assert set(shown) == {"demo/BTCUSDT/1m", "demo/ETHUSDT/1m"}
    for name, row in series_of(site).items():
        last = iso(row["last"]).replace("T", " ").removesuffix("Z")
        assert shown[name][0] == last
        assert shown[name][2] == f"{row['points']:,}"


def test_a_dead_letter_is_shown_as_text_with_its_reason(page: Browser) -> None:
    cells = page.look(
        "[...document.querySelectorAll('#dead tbody tr > *')].map((c) => c.textContent)"
    )

    assert cells == [
        *("demo/SOLUSDT/1m", "1", "poison", "1970-01-01 01:00", "<script>alert(1)</script>")
    ]


def test_what_is_wrong_is_listed_the_worst_first(page: Browser) -> None:
    rows = page.look(
        "[...document.querySelectorAll('#alerts tbody tr')]"
        ".map((row) => [...row.cells].map((cell) => cell.textContent))"
    )

    assert rows == [
        ["disk_low", "disk", "1970-01-01 09:00", "make room"],
        ["queue_slow", "queue", "1970-01-01 08:00", "waits <b>long</b>"],
    ]
    names = "[...document.querySelectorAll('#alerts tbody th')]"
    assert page.look(f"{names}.map((name) => name.className)") == ["bad", ""]


@pytest.mark.parametrize(
    ("token", "said"),
    [
        pytest.param([], "Nothing is wrong.", id="all is well"),
        pytest.param(["BTC"], "None so far; what is wrong now stands above.", id="stale"),
    ],
)
def test_where_no_alert_holds_the_page_says_so(
    tmp_path: Path, browser: Browser, token: list[str], said: str
) -> None:
    settings = settings_in(tmp_path)
    opener(settings).open(create=True).close()
    targets = select(settings, token, ["binance"], ["1h"]).targets if token else []
    one = server(settings, targets=targets)
    one.start()

    browser.open(one.address)
    shown = browser.wait_for("document.getElementById('alerts').textContent")
    browser.open("about:blank")
    one.stop()

    assert shown == said


def test_the_heat_map_has_a_row_a_series(page: Browser) -> None:
    rows = page.look(
        "[...document.querySelectorAll('#coverage tbody tr')]"
        ".map((row) => [row.cells[0].textContent, row.cells.length])"
    )

    assert [name for name, _ in rows] == ["demo", "BTCUSDT 1m", "ETHUSDT 1m"]
    assert all(cells > 1 for _, cells in rows[1:])
    cells = page.look("[...document.querySelectorAll('#coverage td')].map((c) => c.ariaLabel)")
    assert cells[0].startswith("demo/BTCUSDT/1m, ")
    assert all(cell.endswith(" held") for cell in cells)


def test_the_chart_has_the_candles_of_the_chosen_series(site: Site, page: Browser) -> None:
    btc, eth = series_of(site).values()
    chart = "document.getElementById('prices').data[0]"
    assert page.look(f"{chart}.type") == "candlestick"
    assert page.look(f"{chart}.x.length") == 150
    assert page.look(f"Date.parse({chart}.x.at(-1))") == btc["last"]

    page.look("document.getElementById('series').value = 'demo/ETHUSDT/1m'")
    page.look("document.getElementById('series').dispatchEvent(new Event('change'))")

    page.wait_for("location.hash === '#' + encodeURIComponent('demo/ETHUSDT/1m')")
    page.wait_for(f"{chart}.close[0] < 10000")
    asked = "/api/prices?source=demo&symbol=ETHUSDT&interval=1m&limit=5000"
    candles = site.api.get(asked).json()["candles"]
    assert page.look(f"{chart}.close") == [candle["close"] for candle in candles[-150:]]
    assert page.text("prices-summary").endswith(
        f"150 of {eth['points']} candles, last close {candles[-1]['close']:,}".rstrip("0")
    )


def test_earlier_and_later_turn_the_pages_of_the_chart(site: Site, page: Browser) -> None:
    first = "Date.parse(document.getElementById('prices').data[0].x[0])"
    last = next(iter(series_of(site).values()))["last"]
    minute = 60_000

    page.look("document.getElementById('earlier').click()")
    page.wait_for(f"{first} === {last - 299 * minute}")
    page.look("document.getElementById('later').click()")
    page.wait_for(f"{first} === {last - 149 * minute}")

    assert page.look("document.getElementById('later').disabled")
    assert not page.look("document.getElementById('earlier').disabled")


def test_nobody_else_is_asked_and_nothing_is_complained_of(site: Site, page: Browser) -> None:
    for stretch in ("1h", "30d"):
        page.look(f"document.querySelector('input[value=\"{stretch}\"]').click()")
        page.wait_for(
            f"document.querySelector('#throughput-summary').textContent.includes("
            f"document.querySelector('input[value=\"{stretch}\"] + span').textContent)"
        )

    asked, complaints = page.overheard()

    assert asked == {site.address.removeprefix("http://")}
    assert complaints == []


FOCUSED = "document.activeElement"
CONTROLS = (
    "[...document.querySelectorAll('a, button, select, input, [tabindex=\"0\"]')]"
    ".filter((one) => !one.disabled && one.offsetParent !== null"
    " && (one.type !== 'radio' || one.checked)).length"
)


def test_every_control_is_reached_by_tab_and_shows_it(page: Browser) -> None:
    wanted = page.look(CONTROLS)
    reached = []
    page.look("document.body.focus()")
    for _ in range(60):
        page.press(Keys.TAB)
        if page.look(f"{FOCUSED} === document.body"):
            break
        name = page.look(
            f"{FOCUSED}.id || {FOCUSED}.name || {FOCUSED}.getAttribute('aria-label')"
            f" || {FOCUSED}.textContent"
        )
        if name not in reached:
            reached.append(name)
            outlined = f"[{FOCUSED}, {FOCUSED}.nextElementSibling].filter(Boolean)"
            assert page.look(
                f"{outlined}.some((one) => parseFloat(getComputedStyle(one).outlineWidth) >= 2"
                " && getComputedStyle(one).outlineStyle !== 'none')"
            ), name

    assert len(reached) == wanted
    assert {"stretch", "series", "count", "since", "earlier"} <= set(reached)


def test_the_heat_map_is_walked_with_arrows_and_enter_opens_a_series(page: Browser) -> None:
    page.look("document.querySelector('#coverage td[tabindex=\"0\"]').focus()")

    page.press(Keys.HOME, Keys.ARROW_DOWN)
    name = page.look(f"{FOCUSED}.ariaLabel")
    assert name.startswith("demo/ETHUSDT/1m, ")
    assert page.text("coverage-readout") == name
    page.press(Keys.ENTER)

    page.wait_for("location.hash === '#' + encodeURIComponent('demo/ETHUSDT/1m')")
    assert page.look("document.getElementById('series').value") == "demo/ETHUSDT/1m"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_on_a_phone_in_light_and_dark(site: Site, browser: Browser, scheme: str) -> None:
    browser.open(site.address, width=360, height=740, scheme=scheme)
    browser.wait_for(DRAWN)

    assert browser.look("document.documentElement.scrollWidth") == 360
    assert browser.look("document.querySelector('#prices .main-svg').clientWidth") <= 336
    ground = browser.look("getComputedStyle(document.body).backgroundColor")
    brightness = sum(int(part) for part in ground.strip("rgb()").split(","))
    assert brightness > 600 if scheme == "light" else brightness < 150
    assert browser.overheard()[1] == []


def test_with_a_token_the_page_works_for_who_has_it(
    folder: Path, site: Site, browser: Browser
) -> None:
    settings = load({"database": {"path": str(folder / "histq.db")}}, plain=True).settings
    server = Server(
        listen="127.0.0.1:0",
        token=TOKEN,
        opener=Opener(settings, "test:0:0:0:0"),
        settings=settings,
        targets=[],
        state_folder=folder / "state",
    )
    server.start()

    browser.open(server.address.replace("://", f"://me:{TOKEN}@"))
    browser.wait_for(DRAWN)
    shown, complaints = browser.text("queue-points"), browser.overheard()[1]
    browser.open("about:blank")
    server.stop()

    assert (shown, complaints) == ("7", [])


def test_a_server_that_is_gone_is_told_and_the_figures_stay(
    folder: Path, site: Site, browser: Browser
) -> None:
    settings = load({"database": {"path": str(folder / "histq.db")}}, plain=True).settings
    server = Server(
        listen="127.0.0.1:0",
        token="",
        opener=Opener(settings, "test:0:0:0:0"),
        settings=settings,
        targets=[],
        state_folder=folder / "state",
    )
    server.start()
    browser.open(server.address)
    browser.wait_for(DRAWN)

    server.stop()

    browser.wait_for("document.getElementById('state').textContent === 'No answer'")
    assert browser.text("queue-points") == "7"
