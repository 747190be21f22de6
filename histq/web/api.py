"""The answers of /api, each a document; which there are stands in `ENDPOINTS`."""

from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from histq.dates import span
from histq.errors import Usage
from histq.model import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SECOND_MS,
    WEEK_MS,
    Candle,
    Depth,
    Series,
    Window,
)
from histq.page import MOST
from histq.pipeline.backends import Backends
from histq.pipeline.health import Health
from histq.pipeline.ledgers import ledgers
from histq.pipeline.stats import Stats, collect
from histq.queues import DeadCount
from histq.stores import SeriesStats
from histq.stores.alerts import Severity
from histq.web.heat import Heat, heat
from histq.web.query import Query
from histq.web.readiness import Check, checks
from histq.web.view import View

PAGE: Final = 500
MOST_A_PAGE: Final = 5_000
STEPS: Final = 120
MOST_STEPS: Final = 2_000
NAMES: Final = ("from", "to")

_STEPS_MS: Final = (
    *(10 * SECOND_MS, MINUTE_MS, 5 * MINUTE_MS, 15 * MINUTE_MS),
    *(HOUR_MS, 6 * HOUR_MS, DAY_MS),
)


class NoSuchSeries(Usage):
    """The database has none of that name."""


class Alive(msgspec.Struct, frozen=True):
    """The process runs and answers."""

    status: str
    version: str


class Ready(msgspec.Struct, frozen=True):
    """Whether all is well; each check says why it is not."""

    ready: bool
    checks: list[Check]


class Standing(msgspec.Struct, frozen=True):
    """How everything is, and what the page shows of the server itself."""

    ready: bool
    checks: list[Check]
    environment: str
    version: str
    health: Health


class SeriesEntry(SeriesStats, frozen=True):
    """`late_s` and `stale` are None for a series that is not fetched regularly."""

    late_s: float | None
    stale: bool | None


class AllSeries(msgspec.Struct, frozen=True):
    series: list[SeriesEntry]


class Prices(msgspec.Struct, frozen=True):
    """Candles in order; `next` is the cursor of those that follow, None after the last."""

    source: str
    symbol: str
    interval: str
    candles: list[Candle]
    next: str | None


class Waiting(msgspec.Struct, frozen=True):
    """`next_due_at` is when the next delayed or leased message comes back, ms."""

    queue: Depth
    alert_depth: int
    next_due_at: int | None
    dead_letters: list[DeadCount]


class Wrong(msgspec.Struct, frozen=True):
    """One condition that holds. `since` is when it was seen first, `started_at` when it had lasted
    long enough to be told, both ms; `text` is what was told.
    """

    name: str
    subject: str
    severity: Severity
    since: int
    started_at: int
    text: str


class Alerts(msgspec.Struct, frozen=True):
    """Those that hold now, the worst first and then the oldest."""

    alerts: list[Wrong]


class Step(msgspec.Struct, frozen=True):
    """What was consumed of one source in one step."""

    start: int
    source: str
    batches: int
    messages: int
    points: int
    inserted: int
    duplicates: int
    revised: int
    dead: int
    elapsed_ms: float


class History(msgspec.Struct, frozen=True):
    """Steps without a batch are left out."""

    start: int
    end: int
    step_ms: int
    steps: list[Step]


def ready(view: View, backends: Backends) -> Ready:
    return _ready(view, view.health(backends))


def _ready(view: View, found: Health) -> Ready:
    results = checks(found, view.settings.queue.alert_depth)
    return Ready(all(check.ok for check in results), results)


def standing(view: View, backends: Backends, _query: Query) -> Standing:
    found = view.health(backends)
    told = _ready(view, found)
    return Standing(told.ready, told.checks, view.environment, view.version, found)


def stats(view: View, backends: Backends, _query: Query) -> Stats:
    return collect(backends, view.settings.environment)


def series(view: View, backends: Backends, _query: Query) -> AllSeries:
    regular = {(one.source, one.symbol, one.interval): one for one in view.freshness(backends)}
    entries = []
    for row in backends.store.coverage():
        one = regular.get((row.source, row.symbol, row.interval))
        late_s, stale = (one.late_s, one.stale) if one else (None, None)
        entries.append(SeriesEntry(**msgspec.structs.asdict(row), late_s=late_s, stale=stale))
    return AllSeries(entries)


def prices(view: View, backends: Backends, query: Query) -> Prices:
    wanted = Series(*(query.required(name) for name in ("source", "symbol", "interval")))
    start, end = span(query.text("from"), query.text("to"), view.clock(), NAMES)
    cursor = query.number("cursor", 0, MOST)
    limit = query.number("limit", 1, MOST_A_PAGE) or PAGE
    if wanted not in backends.store.series():
        raise NoSuchSeries(f"no series {wanted} in this database; /api/series lists them")
    window = Window(max(start or 0, cursor or 0), MOST if end is None else end)
    found = list(backends.store.candles(wanted, window, limit + 1))
    more = len(found) > limit
    return Prices(*wanted, found[:limit], str(found[limit].timestamp) if more else None)


def queue(view: View, backends: Backends, _query: Query) -> Waiting:
    waiting = backends.queue
    alert_depth = view.settings.queue.alert_depth
    return Waiting(waiting.depth(), alert_depth, waiting.next_due_at(), waiting.dead_by_error())


def alerts(_view: View, backends: Backends, _query: Query) -> Alerts:
    found = [
        Wrong(one.name, one.subject, one.severity, one.since, one.started_at, one.text)
        for one in backends.store.alerts.open()
        if one.started_at is not None
    ]
    return Alerts(sorted(found, key=lambda one: (one.severity != Severity.CRITICAL, one.since)))


def throughput(view: View, backends: Backends, query: Query) -> History:
    now = view.clock()
    since = query.text("from")
    start, end = span("1d" if since is None else since, query.text("to"), now, NAMES)
    window = Window(start or 0, now if end is None else end)
    step_s = query.number("step_s", 1, WEEK_MS // SECOND_MS)
    step_ms = step_s * SECOND_MS if step_s else _step_ms(window)
    if (window.end - window.start) // step_ms > MOST_STEPS:
        raise Usage(
            f"step_s {step_s} cuts that into more than {MOST_STEPS} steps; take longer ones"
        )
    steps = [Step(at, *tally) for at, tally in backends.store.history(window, step_ms)]
    return History(*window, step_ms, steps)


def _step_ms(window: Window) -> int:
    """The shortest of the round ones that needs few steps; else so many weeks."""
    long = window.end - window.start
    weeks = -(-long // (STEPS * WEEK_MS)) * WEEK_MS
    return next((step for step in _STEPS_MS if long <= STEPS * step), weeks)


def coverage(view: View, backends: Backends, query: Query) -> Heat:
    names = (query.text(name) for name in ("symbol", "source", "interval"))
    chosen = [[name] if name is not None else [] for name in names]
    return heat(ledgers(backends.store, view.settings, *chosen))


class Parameter(NamedTuple):
    """`schema` is JSON Schema, for the description of the API."""

    name: str
    about: str
    schema: dict[str, object]
    required: bool = False


class Endpoint(NamedTuple):
    path: str
    answer: Callable[[View, Backends, Query], msgspec.Struct]
    document: type[msgspec.Struct]
    about: str
    parameters: tuple[Parameter, ...] = ()

    @property
    def names(self) -> list[str]:
        return [parameter.name for parameter in self.parameters]


_TEXT: Final[dict[str, object]] = {"type": "string", "minLength": 1}
_CURSOR: Final[dict[str, object]] = {"type": "string", "pattern": "^[0-9]{1,18}$"}
_SOURCE: Final = Parameter("source", "binance, coingecko, ...", _TEXT)
_SYMBOL: Final = Parameter("symbol", "As the source calls the market: BTCUSDT", _TEXT)
_INTERVAL: Final = Parameter("interval", "1m, 1h, 1d, ... (1m is a minute, 1M a month)", _TEXT)
_FROM: Final = Parameter(
    "from", "2024-01-01, 2024-01-01T12:00Z, 30d (ago), listing or now; UTC", _TEXT
)
_TO: Final = Parameter("to", "Exclusive; as from", _TEXT)

ENDPOINTS: Final = (
    Endpoint("/api/health", standing, Standing, "How everything is, and whether that is well"),
    Endpoint("/api/stats", stats, Stats, "The document of histq stats --json"),
    Endpoint("/api/series", series, AllSeries, "Every stored series: its points and its ends"),
    Endpoint(
        "/api/prices",
        prices,
        Prices,
        "Candles of one series in order, page by page: pass next as cursor for the next one",
        (
            *(one._replace(required=True) for one in (_SOURCE, _SYMBOL, _INTERVAL)),
            *(_FROM, _TO),
            Parameter(
                "limit",
                f"Candles a page; {PAGE} unless set",
                {"type": "integer", "minimum": 1, "maximum": MOST_A_PAGE},
            ),
            Parameter("cursor", "As next of the page before", _CURSOR),
        ),
    ),
    Endpoint("/api/queue", queue, Waiting, "What waits, and what could not be stored and why"),
    Endpoint("/api/alerts", alerts, Alerts, "What is wrong now, and since when"),
    Endpoint(
        "/api/throughput",
        throughput,
        History,
        "What was consumed over time",
        (
            _FROM._replace(about=f"{_FROM.about}; 1d unless set"),
            _TO._replace(about="Exclusive; now unless set"),
            Parameter(
                "step_s",
                "Seconds that are summed up; chosen by the stretch unless set",
                {"type": "integer", "minimum": 1, "maximum": WEEK_MS // SECOND_MS},
            ),
        ),
    ),
    Endpoint(
        "/api/coverage",
        coverage,
        Heat,
        "How complete each series is over time",
        (
            _SOURCE,
            _SYMBOL._replace(about="BTCUSDT, BTC/USDT or BTC"),
            _INTERVAL,
        ),
    ),
)
