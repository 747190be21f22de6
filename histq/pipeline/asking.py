"""Whom a fetch asks, ahead of its turn: the source itself, and the archive that it may have."""

import contextlib
from concurrent.futures import Future
from functools import partial
from typing import Self

from histq.client import Answer, Client, open_client
from histq.model import Window
from histq.pipeline.ahead import Ahead
from histq.pipeline.planning import Piece
from histq.pipeline.record import Job
from histq.pipeline.targets import Target
from histq.providers import Ask, Dated, Provider
from histq.settings import SourceSettings, plan_of


class Asker:
    """A client for each host that is asked, opened when it first is; belongs to one thread."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._clients: dict[str, tuple[Client, Ahead]] = {}
        self._opened = contextlib.ExitStack()

    def submit(self, target: Target, piece: Piece) -> "Future[list[Answer]]":
        """What `Client.ask` says of a page, or `Client.take` of a file. Raises Config."""
        if not piece.archived:
            client, ahead = self._client(target.provider, target.settings)
            return ahead.submit(partial(client.ask, self._ask(target, piece.window)))
        assert target.shelf is not None, "only what has an archive is planned for one"
        client, ahead = self._client(target.shelf.archive, target.shelf.settings)
        ask = self._ask(target, piece.window)
        return ahead.submit(partial(client.take, ask, target.shelf.archive, piece.held))

    def first_open(
        self, target: Target, provider: Dated, *, once: bool = False
    ) -> "Future[int | None]":
        """When the first candle of the series opened, by `Client.first_open`. Raises Config."""
        now = self._job.clock()
        client, ahead = self._client(target.provider, target.settings)
        ask = self._ask(target, Window(now, now))
        return ahead.submit(partial(client.first_open, ask, provider, once=once))

    def requests(self, name: str) -> int:
        """How many went out to this provider."""
        return self._clients[name][0].requests if name in self._clients else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def _client(self, provider: Provider, settings: SourceSettings) -> tuple[Client, Ahead]:
        if provider.name not in self._clients:
            client = open_client(
                provider,
                settings,
                self._job.state_folder,
                stop=self._job.stop,
                clock=self._job.clock,
                on_retry=partial(self._job.watcher.retrying, provider.name),
            )
            self._opened.callback(client.close)
            ahead = self._opened.enter_context(Ahead(settings.concurrency, f"{provider.name}-http"))
            self._clients[provider.name] = client, ahead
        return self._clients[provider.name]

    def _ask(self, target: Target, window: Window) -> Ask:
        plan = plan_of(target.settings)
        return Ask(target.series, target.market, target.interval, window, plan, self._job.clock())
