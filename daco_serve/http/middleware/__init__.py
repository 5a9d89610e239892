"""The middleware that every request passes through on its way to a route, one module for each concern."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from daco_serve.http.middleware.access import Access
from daco_serve.http.middleware.forwarded import Forwarded
from daco_serve.http.middleware.headers import Headers
from daco_serve.http.middleware.hosts import LoopbackHosts
from daco_serve.http.middleware.observe import Observe
from daco_serve.http.middleware.origins import SameOrigin
from daco_serve.http.middleware.rates import Rates, limits_of, storage_of
from daco_serve.http.middleware.semantics import Semantics
from daco_serve.operation.keys import key_ring
from daco_serve.operation.settings import ServeSettings
from daco_serve.operation.tiles import tiles_file


def add_middleware(app: FastAPI, settings: ServeSettings) -> None:
    """Adds, from the outside in: client address, log, headers, uniform errors, cross-origin rules, keys, rate limits.

    Raises:
        DacoError: keys are required and there are none, or settings contradict each other.
    """
    limits = limits_of(settings)
    if limits:
        app.add_middleware(Rates, limits=limits, storage=storage_of(settings))
    ring = key_ring(settings.host, settings.keys, settings.open)
    if ring is not None:
        app.add_middleware(Access, ring=ring)
    elif not settings.open:
        app.add_middleware(LoopbackHosts)
    app.add_middleware(SameOrigin, allowed=settings.cors_origins)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "X-API-Key", "Content-Type", "X-Request-ID"],
            expose_headers=["X-Request-ID", "Retry-After"],
        )
    app.add_middleware(Semantics)
    app.add_middleware(
        Headers, tiles=None if tiles_file(settings.tiles) else settings.tiles, shared=bool(settings.cors_origins)
    )
    app.add_middleware(Observe)
    app.add_middleware(Forwarded, trusted=settings.trusted_proxies)
