"""Which path is answered by what."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from histq.errors import HistqError, Usage
from histq.pipeline.backends import Backends
from histq.web.address import Hosts
from histq.web.api import ENDPOINTS, Alive, Endpoint, NoSuchSeries, Ready, ready
from histq.web.assets import PAGE, Assets
from histq.web.figures import Figure
from histq.web.guard import Guard, document, refusal
from histq.web.metrics import CONTENT_TYPE, Metrics
from histq.web.openapi import describe
from histq.web.query import Query
from histq.web.readiness import unreadable
from histq.web.view import Desk, View

PIECE_BYTES: Final = 64 * 1024
RETRY_S: Final = 5

Handler = Callable[[Request], Awaitable[Response]]


def application(desk: Desk, hosts: Hosts, token: str, more: Callable[[], list[Figure]]) -> ASGIApp:
    """All of it, behind the guard. `more` are figures for /metrics that others know."""
    metrics = Metrics(desk, more)
    assets = Assets()
    pages = Pages(desk, metrics, assets)
    routes: dict[str, Handler] = {
        "/": pages.page,
        "/assets/{name}": pages.asset,
        "/healthz": pages.healthz,
        "/readyz": pages.readyz,
        "/metrics": pages.metrics,
        "/api/openapi.json": pages.openapi,
        **{endpoint.path: partial(pages.answer, endpoint) for endpoint in ENDPOINTS},
    }
    app = Starlette(
        routes=[Route(path, handler) for path, handler in routes.items()],
        exception_handlers={404: _not_found, HistqError: _refused},
    )
    # A redirect would name the host that the client named.
    app.router.redirect_slashes = False
    return Guard(app, frozenset(routes), hosts, token, assets.styles(), metrics.count)


async def _not_found(request: Request, error: Exception) -> Response:
    return refusal(404, "nothing is here; /api/openapi.json says what there is")


async def _refused(request: Request, error: Exception) -> Response:
    """An error that is ours, in the words that the command line has for it."""
    if isinstance(error, Usage):
        return refusal(404 if isinstance(error, NoSuchSeries) else 400, str(error))
    return refusal(503, str(error), **{"Retry-After": str(RETRY_S)})


class Pages:
    """One method a path."""

    def __init__(self, desk: Desk, metrics: Metrics, assets: Assets) -> None:
        self._desk = desk
        self._metrics = metrics
        self._assets = assets

    async def healthz(self, request: Request) -> Response:
        return _document(document(Alive("ok", self._desk.view.version)))

    async def readyz(self, request: Request) -> Response:
        try:
            found = await self._desk.read(ready)
        except HistqError as error:
            found = Ready(False, unreadable(error))
        return _document(document(found), 200 if found.ready else 503)

    async def metrics(self, request: Request) -> Response:
        text = await self._desk.work(self._metrics.text)
        return Response(text, headers=_FRESH, media_type=CONTENT_TYPE)

    async def openapi(self, request: Request) -> Response:
        return _document(msgspec.json.encode(describe(self._desk.view.version)))

    async def answer(self, endpoint: Endpoint, request: Request) -> Response:
        query = Query(request.scope["query_string"].decode("latin-1"), endpoint.names)

        def read(view: View, backends: Backends) -> bytes:
            return document(endpoint.answer(view, backends, query))

        return _document(await self._desk.read(read))

    async def page(self, request: Request) -> Response:
        return await self._file(PAGE, request)

    async def asset(self, request: Request) -> Response:
        return await self._file(request.path_params["name"], request)

    async def _file(self, name: str, request: Request) -> Response:
        asset = await self._desk.work(partial(self._assets.get, name))
        if asset is None:
            raise HTTPException(404)
        headers = {
            "ETag": f'W/"{asset.tag}"',
            "Cache-Control": asset.caching,
            "Vary": "Accept-Encoding",
        }
        if f'"{asset.tag}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        body = asset.body
        if "gzip" in request.headers.get("accept-encoding", ""):
            body = asset.compressed
            headers["Content-Encoding"] = "gzip"
        headers["Content-Length"] = str(len(body))
        return StreamingResponse(_pieces(body), headers=headers, media_type=asset.media_type)


_FRESH: Final = {"Cache-Control": "no-store"}


def _document(body: bytes, status: int = 200) -> Response:
    return Response(body, status, _FRESH, "application/json")


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """So that no more than a piece waits in memory for a client that reads slowly."""
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
        await asyncio.sleep(0)
