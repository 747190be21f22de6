"""The daemon's HTTP side: health, metrics, a read-only API and the dashboard.

    client ──▶ Guard ──▶ routes ──▶ Desk ──▶ a thread with a connection of its own ──▶ document
               host, token, size     one a path                    counters, key ranges

What it needs beyond histq's own dependencies is imported when it starts: the extra `web`.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import SecretStr

from histq import __version__
from histq.errors import Config
from histq.host import Clock, wall_clock
from histq.pipeline.backends import Opener
from histq.pipeline.targets import Target
from histq.settings import Settings
from histq.web.address import Hosts, bind, refuse_open, resolve
from histq.web.figures import Figure
from histq.web.view import Desk, View

if TYPE_CHECKING:
    from histq.web.serving import Serving

__all__ = ["Figure", "Server"]

PATIENCE_S: Final = 5.0
LOCK_TIMEOUT_S: Final = 1.0
"""A request waits no longer than this for a database that somebody holds."""


class Server:
    """Answers from `start` to `stop`, in threads of its own.

    `listen` is HOST:PORT; off the loopback a `token` is demanded of whoever starts it, and with a
    token of every request. `hosts` are more names by which it may be asked for, those of a proxy
    in front of it. `figures` is asked for more of them whenever /metrics is. A client that stalls
    for `patience_s` is cut off.
    """

    def __init__(
        self,
        *,
        listen: str,
        token: SecretStr | str,
        opener: Opener,
        settings: Settings,
        targets: Sequence[Target],
        state_folder: Path,
        version: str = __version__,
        clock: Clock = wall_clock,
        environment: str = "",
        hosts: Sequence[str] = (),
        figures: Callable[[], list[Figure]] = list,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._listen = listen
        self._token = token.get_secret_value() if isinstance(token, SecretStr) else token
        patient = opener._replace(lock_timeout_s=LOCK_TIMEOUT_S)
        self._view = View(
            patient, settings, list(targets), state_folder, version, environment, clock
        )
        self._hosts = hosts
        self._figures = figures
        self._patience_s = patience_s
        self._desk: Desk | None = None
        self._serving: Serving | None = None
        self.address = ""

    def start(self) -> None:
        """Returns when it answers; `address` is then where: http://127.0.0.1:8787.

        Raises Config where it cannot listen there, or may not, or the extra is not installed.
        """
        place = resolve(self._listen)
        refuse_open(place, self._token)
        try:
            from histq.web.app import application
            from histq.web.serving import Serving
        except ImportError as error:
            raise Config(
                f"--listen needs the package {error.name}; pip install 'histq[web]'"
            ) from error
        desk = Desk(self._view)
        app = application(desk, Hosts(place, self._hosts), self._token, self._figures)
        bound = bind(place)
        self.address = f"http://{place._replace(port=bound.getsockname()[1])}"
        self._serving, self._desk = Serving(app, bound, self._patience_s), desk

    def update(
        self, *, opener: Opener, settings: Settings, targets: Sequence[Target], environment: str
    ) -> None:
        """By these it answers from the next request on."""
        opener = opener._replace(lock_timeout_s=LOCK_TIMEOUT_S)
        self._view = self._view._replace(
            opener=opener, settings=settings, targets=list(targets), environment=environment
        )
        if self._desk is not None:
            self._desk.view = self._view

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return self._serving is not None and self._serving.alive

    def stop(self) -> None:
        """Ends what is being answered; returns when no thread is left. Twice does nothing."""
        if self._serving is not None:
            self._serving.stop()
        if self._desk is not None:
            self._desk.close()
