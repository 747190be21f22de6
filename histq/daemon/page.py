"""The daemon's HTTP side, where its settings ask for one; it outlives new settings."""

from collections import Counter
from collections.abc import Callable

from histq.daemon.jobs import Surroundings
from histq.daemon.turns import Turns
from histq.errors import Config
from histq.pipeline.targets import select
from histq.settings import Settings
from histq.web import Figure, Server
from histq.web.address import refuse_open, resolve


class Page:
    """`figures` is asked for what only the daemon knows. Raises Config for a wrong address."""

    def __init__(self, around: Surroundings, figures: Callable[[], list[Figure]]) -> None:
        self._asked = _asked(around)
        self._server: Server | None = None
        settings = around.settings.daemon
        if settings.listen:
            self._server = Server(
                listen=settings.listen,
                token=settings.token,
                opener=around.opener,
                settings=around.settings,
                targets=select(around.settings).targets,
                state_folder=around.state_folder,
                clock=around.clock,
                environment=around.settings.environment,
                hosts=settings.hosts,
                figures=figures,
            )

    def start(self) -> None:
        """Returns when it answers. Raises Config where it cannot."""
        if self._server is not None:
            self._server.start()

    @property
    def address(self) -> str:
        """Where it answers; empty where it does not."""
        return "" if self._server is None else self._server.address

    @property
    def alive(self) -> bool:
        return self._server is None or self._server.alive

    def refuse(self, around: Surroundings) -> None:
        """Raises Config for settings that only a restart can take."""
        if _asked(around) != self._asked:
            raise Config("daemon.listen, token and hosts cannot change while it runs; restart it")

    def renew(self, around: Surroundings) -> None:
        """Answers by these settings from now on."""
        if self._server is not None:
            self._server.update(
                opener=around.opener,
                settings=around.settings,
                targets=select(around.settings).targets,
                environment=around.settings.environment,
            )

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()


def _asked(around: Surroundings) -> tuple[object, ...]:
    settings = around.settings.daemon
    return settings.listen, settings.token.get_secret_value(), tuple(settings.hosts)


def refuse_address(settings: Settings) -> None:
    """Raises Config for an address that is none, or that others reach and no token keeps."""
    if settings.daemon.listen:
        refuse_open(resolve(settings.daemon.listen), settings.daemon.token.get_secret_value())


def figures(turns: list[Turns], alerts: Counter[str]) -> list[Figure]:
    """What only the daemon knows: how its jobs go, and what is wrong."""
    found = []
    for one in turns:
        job = {"job": one.job.name}
        found.append(Figure("histq_job_runs_total", "Runs of a job", one.runs, job))
        found.append(Figure("histq_job_running", "Whether a job runs", float(one.running), job))
        if one.exit_code is not None:
            about = "Exit code of a job's last run"
            found.append(Figure("histq_job_last_exit_code", about, one.exit_code, job))
    for name, count in sorted(alerts.items()):
        found.append(Figure("histq_alerts", "Conditions that hold", count, {"condition": name}))
    return found
