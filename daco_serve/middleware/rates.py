"""Keeps one client from taking the time of all: so many requests a minute for each key, else for each address."""

import ipaddress
import math
import time

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError
from limits.storage import storage_from_string
from starlette.types import ASGIApp, Receive, Scope, Send

from daco_serve.errors import Refusal
from daco_serve.keys import is_loopback
from daco_serve.middleware.access import is_public
from daco_serve.settings import NO_LIMIT, ServeSettings
from training.errors import DacoError

OPEN_LIMIT = "120/minute"  # where strangers are let in without a key, unless another limit is named
READS_PER_QUERY = 20  # an answer names several photographs, which the page then loads
IPV6_NETWORK = 64  # what a provider gives to one customer


class Rates:
    """Refuses with 429 and Retry-After who asks too often; what is public is not counted."""

    def __init__(self, app: ASGIApp, settings: ServeSettings) -> None:
        self._app = app
        self._limits = _limits(settings)
        self._limiter = SlidingWindowCounterRateLimiter(_storage(settings))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._limits or scope["type"] != "http" or is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        kind = "query" if scope["method"] == "POST" else "read"
        limit = self._limits[kind]
        client = _client(scope)
        if await self._limiter.hit(limit, kind, client):
            await self._app(scope, receive, send)
            return
        reset = (await self._limiter.get_window_stats(limit, kind, client)).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        refusal = Refusal(
            "too_many_requests",
            f"No more than {limit.amount} of these in {_period(limit)}: try again in {seconds} s.",
            {"Retry-After": str(seconds)},
        )
        await refusal.response()(scope, receive, send)


def _client(scope: Scope) -> str:
    """Who it is that asks: the key's name, else the address; of IPv6 the network, since one customer has them all."""
    key = scope["state"].get("key")
    if key:
        return f"key {key}"
    try:
        address = ipaddress.ip_address(scope["client"][0])
    except (TypeError, ValueError):  # a Unix socket has none
        return "address unknown"
    if address.version == 6:
        address = ipaddress.ip_network((address, IPV6_NETWORK), strict=False).network_address
    return f"address {address}"


def _limits(settings: ServeSettings) -> dict[str, RateLimitItem]:
    """What is allowed of each kind of request; empty for no limit."""
    text = settings.rate_limit
    if text is None and settings.open and not is_loopback(settings.host):
        text = OPEN_LIMIT
    if text is None or text == NO_LIMIT:
        return {}
    query = parse(text)
    return {"query": query, "read": type(query)(READS_PER_QUERY * query.amount, query.multiples)}


def _storage(settings: ServeSettings) -> Storage:
    try:
        storage = storage_from_string(settings.rate_limit_storage)
    except (ConfigurationError, ImportError) as error:
        raise DacoError(f"Rate limits cannot be counted in {settings.rate_limit_storage}: {error}.") from error
    assert isinstance(storage, Storage)
    return storage


def _period(limit: RateLimitItem) -> str:
    return f"{limit.multiples} {limit.GRANULARITY.name}{'s' if limit.multiples > 1 else ''}"
