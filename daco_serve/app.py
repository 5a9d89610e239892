"""Builds the FastAPI application: routes, the form of errors, headers, the page."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daco_serve.errors import Refusal, envelope
from daco_serve.routes import health, indexes, query, references
from daco_serve.service import Service
from daco_serve.settings import ServeSettings

WEB = Path(__file__).parent / "web"
DOCS = "/docs"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# FastAPI's page of the API starts Swagger UI with a script and styles of its own
DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " frame-ancestors 'none'"
)


def create_app(settings: ServeSettings, service: Service | None = None) -> FastAPI:
    """The application; it loads the index while it starts, unless a loaded service is given."""
    service = service or Service(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        watcher = asyncio.create_task(service.keep_current())
        yield
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher

    app = FastAPIOffline(
        title="daco-serve",
        summary="A photograph in, the place where it was taken out.",
        version=version("daco-serve"),
        lifespan=lifespan,
        docs_url=DOCS,
        redoc_url=None,
    )
    app.state.service = service
    for resource in (query, indexes, references, health):
        app.include_router(resource.router)
    app.add_api_route("/", _page, include_in_schema=False)
    app.mount("/web", StaticFiles(directory=WEB))
    app.add_middleware(Headers)
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _failed)
    return app


class Headers:
    """Gives every answer a request id, and what keeps a browser from being misled by it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = uuid4().hex
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers["Content-Security-Policy"] = DOCS_POLICY if scope["path"] == DOCS else PAGE_POLICY
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)


async def _page() -> FileResponse:
    return FileResponse(WEB / "index.html")


def _refused(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Refusal)
    return error.response()


def _left(request: Request, error: Exception) -> JSONResponse:
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
        message = f"This address does not take {request.method}."
        return envelope(405, "method_not_allowed", message, error.headers)
    return envelope(error.status_code, "invalid_request", str(error.detail), error.headers)


def _failed(request: Request, error: Exception) -> JSONResponse:
    return Refusal("internal_error").response()
