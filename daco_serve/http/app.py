"""Builds the FastAPI application: routes, error answers, headers, the web page."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path

from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.security import APIKeyHeader, HTTPBearer
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from daco_core.errors import DamagedIndex
from daco_serve.engine.answers import QueryError
from daco_serve.engine.service import Service
from daco_serve.http.middleware import add_middleware
from daco_serve.http.middleware.headers import DOCS
from daco_serve.http.openapi import add_forms, operation_id
from daco_serve.http.refusals import Refusal, documented, envelope, forget_frames
from daco_serve.http.routes import geopose, health, indexes, metrics, query, references, sequence, track
from daco_serve.http.tracking.places import Tracks
from daco_serve.http.uploads.admission import Admission
from daco_serve.operation.settings import ServeSettings
from daco_serve.operation.tiles import TilesFile, attribution, tiles_file
from daco_serve.operation.tracing import telemetry

log = logging.getLogger(__name__)
WEB = Path(__file__).parents[1] / "web"
# the middleware checks the key; these only document, for the API's document and /docs, how to send it
KEY_SCHEMES = [Security(HTTPBearer(auto_error=False)), Security(APIKeyHeader(name="X-API-Key", auto_error=False))]
REFUSED_BEFORE = documented("key_missing", "key_wrong", "wrong_host", "too_many_requests")


def create_app(settings: ServeSettings, service: Service | None = None) -> FastAPI:
    """The application; it loads the index during start-up, unless a loaded service is given."""
    service = service or Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watcher = asyncio.create_task(service.keep_current())
        try:
            yield
        finally:
            watcher.cancel()
            await asyncio.wait([watcher])  # whether it ended with an error or not
            service.close()

    app = FastAPIOffline(
        title="daco-serve",
        summary="Send a photograph, get the place where it was taken.",
        version=version("daco-serve"),
        lifespan=lifespan,
        docs_url=DOCS,
        redoc_url=None,
        telemetry=telemetry(),
        generate_unique_id_function=operation_id,
    )
    app.state.service = service
    app.state.admission = Admission(settings)
    app.state.tracks = Tracks(settings.max_tracks)
    for resource in (query, sequence, indexes, references, geopose):
        app.include_router(resource.router, dependencies=KEY_SCHEMES, responses=REFUSED_BEFORE)
    app.include_router(metrics.router, dependencies=KEY_SCHEMES, responses=REFUSED_BEFORE)
    app.include_router(health.router)
    app.include_router(track.router)  # the middleware checks its key, too; OpenAPI does not cover WebSockets
    app.add_api_route("/", _page, include_in_schema=False)
    app.add_api_route("/web/settings.json", partial(_page_settings, settings), include_in_schema=False)
    if (map_file := tiles_file(settings.tiles)) is not None:
        app.add_api_route("/web/map.pmtiles", partial(_map_tiles, map_file), include_in_schema=False)
    app.mount("/web", StaticFiles(directory=WEB))
    add_forms(app)
    add_middleware(app, settings)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(QueryError, _not_answered)
    app.add_exception_handler(DamagedIndex, _unreadable)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    return app


async def _page() -> FileResponse:
    return FileResponse(WEB / "index.html")


async def _page_settings(settings: ServeSettings) -> JSONResponse:
    """What the page needs before a key is entered."""
    tiles = settings.tiles
    thanks = attribution(tiles, settings.tiles_attribution) if tiles else None
    file = tiles_file(tiles)
    return JSONResponse(
        {
            "tiles": None if file else tiles,
            "tiles_file_zoom": file.most_zoom if file else None,
            "attribution": thanks,
            "max_upload_bytes": settings.max_upload_bytes,
        }
    )


async def _map_tiles(file: TilesFile) -> FileResponse:
    """The page reads only the parts that it shows, by byte ranges."""
    return FileResponse(file.path, media_type="application/octet-stream")


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    forget_frames(error)
    return error.response()


def _not_answered(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, QueryError)
    forget_frames(error)
    return Refusal(error.code, error.message).response()


def _unreadable(request: Request, error: Exception) -> JSONResponse:
    log.error("%s", error)
    forget_frames(error)
    return Refusal("index_unavailable", "The index cannot be read: its files are damaged or were changed.").response()


def _left(request: Request, error: Exception) -> JSONResponse:
    forget_frames(error)
    return Refusal("client_left").response()


def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = str(first["loc"][-1])
    if name == "k":
        most = request.app.state.service.settings.max_k
        return Refusal("bad_k", f"k must be a whole number from 1 to {most}.").response()
    return Refusal("invalid_request", f"{name}: {first['msg']}.").response()


def _http_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return Refusal("not_found").response()
    if error.status_code == 405:
        message = f"This address does not support {request.method}."
        return envelope(405, "method_not_allowed", message, error.headers)
    return envelope(error.status_code, "invalid_request", str(error.detail), error.headers)
