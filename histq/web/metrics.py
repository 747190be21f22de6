"""The figures in the format of Prometheus, in a registry of our own."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric

from histq.errors import HistqError
from histq.web.figures import Figure, Totals, figures
from histq.web.view import Desk, View

CONTENT_TYPE = CONTENT_TYPE_LATEST

Source = Callable[[], Iterable[Figure]]


class Metrics:
    """`more` gives what is known elsewhere in the process; it is asked in a thread of the desk."""

    def __init__(self, desk: Desk, more: Source) -> None:
        self._desk = desk
        self._more = more
        self._totals = Totals()
        self._inner = CollectorRegistry()
        self._requests = Counter(
            "histq_http_requests",
            "Requests answered; refused ones are of no path",
            ["path", "status"],
            registry=self._inner,
        )
        ProcessCollector(namespace="histq", registry=self._inner)
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def count(self, path: str, status: int) -> None:
        """One more request was answered; `path` is one of few."""
        self._requests.labels(path, str(status)).inc()

    def text(self) -> bytes:
        """Reads the database, in the calling thread."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Every sample, labelled with the environment."""
        view = self._desk.view
        environment = {"environment": view.environment}
        for metric in (*self._inner.collect(), *_families(self._figures(view))):
            metric.samples = [
                sample._replace(labels={**sample.labels, **environment})
                for sample in metric.samples
                if not sample.name.endswith("_created")  # of no use to anyone
            ]
            if metric.samples:
                yield metric

    def _figures(self, view: View) -> Iterator[Figure]:
        about = "1; its label says which histq this is"
        yield Figure("histq_build_info", about, 1, {"version": view.version})
        yield from self._more()
        read: list[Figure] = []
        try:
            with view.opener.open(create=False) as backends:
                read.extend(figures(view, backends, self._totals))
        except HistqError:  # no reason to hide what is known without it, and itself a figure
            read.clear()
        yield Figure("histq_database_up", "1 where the database can be read", bool(read))
        yield from read


def _families(found: Iterable[Figure]) -> Iterable[Metric]:
    """Grouped by name, as the format wants them."""
    families: dict[str, CounterMetricFamily | GaugeMetricFamily] = {}
    for name, about, value, labels in found:
        family = families.get(name)
        if family is None:
            kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            family = families[name] = kind(name, about, labels=list(labels))
        family.add_metric(list(labels.values()), float(value))
    return families.values()
