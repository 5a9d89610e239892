"""Rate limits: so many queries per minute for each key, or for each address without keys.

The limit applies to work: a photograph with many pixels counts as several queries.
"""

import ipaddress
import math
import time
from collections.abc import Sequence

from limits import RateLimitItem, parse
from limits.aio.storage import Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import ConfigurationError
from limits.storage import storage_from_string
from starlette.requests import HTTPConnection, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from daco_core.errors import DacoError, UsageError
from daco_serve.http.middleware.access import ASKING, is_public
from daco_serve.http.refusals import Refusal
from daco_serve.http.uploads.image_header import decoding_cost
from daco_serve.operation.addresses import plain_address
from daco_serve.operation.keys import is_loopback
from daco_serve.operation.settings import NO_LIMIT, ServeSettings

OPEN_LIMIT = "120/minute"  # the default for a server that needs no key but is reachable from other machines
QUERY_PIXELS = 12_000_000  # pixels of a PNG that count as one query; of a JPEG, four times as many
READS_PER_QUERY = 20  # an answer names several photographs, which the page then requests
IPV6_NETWORK = 64  # prefix length of the network that a provider assigns to one customer


class Rates:
    """Rejects with 429 and Retry-After a client that sends too many requests; public addresses are not counted."""

    def __init__(self, app: ASGIApp, limits: dict[str, RateLimitItem], storage: Storage) -> None:
        self._app = app
        self._limits = limits
        self._limiter = SlidingWindowCounterRateLimiter(storage)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ASKING or is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        kind = "query" if scope["type"] == "http" and scope["method"] == "POST" else "read"
        limit = self._limits[kind]
        client = client_of(scope)
        try:
            await self._count(limit, kind, client)
        except Refusal as refusal:
            await refusal.response()(scope, receive, send)
            return

        async def count_more(photographs: int, units: int) -> None:
            if photographs > limit.amount:
                raise Refusal(
                    "bad_form",
                    f"No more than {limit.amount} photographs are allowed in {_period(limit)}, and thus in one request:"
                    " send fewer.",
                )
            # the request was counted as one already; if waiting cannot help, it is not rejected for its pixels
            cost = min(max(photographs, units), limit.amount) - 1
            if cost:
                await self._count(limit, kind, client, cost)

        async def count_frame(units: int) -> None:
            await self._count(self._limits["query"], "query", client, min(units, self._limits["query"].amount))

        scope["state"]["count_more"] = count_more
        scope["state"]["count_frame"] = count_frame
        await self._app(scope, receive, send)

    async def _count(self, limit: RateLimitItem, kind: str, client: str, cost: int = 1) -> None:
        if await self._limiter.hit(limit, kind, client, cost=cost):
            return
        reset = (await self._limiter.get_window_stats(limit, kind, client)).reset_time
        seconds = max(1, math.ceil(reset - time.time()))
        raise Refusal(
            "too_many_requests",
            f"No more than {limit.amount} of these in {_period(limit)}: try again in {seconds} s.",
            {"Retry-After": str(seconds)},
        )


async def count_photographs(request: Request, uploads: Sequence[bytes]) -> None:
    """Counts the additional queries of a request, for further photographs or many pixels.

    Raises:
        Refusal: the limit is exceeded, or can never allow this request.
    """
    count = getattr(request.state, "count_more", None)
    if count is not None:
        await count(len(uploads), sum(map(_queries, uploads)))


async def count_frame(connection: HTTPConnection, upload: bytes) -> None:
    """Counts one frame of a track, as a query of its pixels.

    Raises:
        Refusal: the limit is exceeded.
    """
    count = getattr(connection.state, "count_frame", None)
    if count is not None:
        await count(_queries(upload))


def _queries(upload: bytes) -> int:
    """The number of queries that a photograph counts as."""
    return max(1, -(-decoding_cost(upload) // QUERY_PIXELS))


def client_of(scope: Scope) -> str:
    """The client: the key's name, else the address; for IPv6 the network, because one customer has all of it."""
    key = scope["state"].get("key")
    if key:
        return f"key {key}"
    try:
        address = ipaddress.ip_address(plain_address(scope["client"][0]))
    except (TypeError, ValueError):  # a Unix socket has none
        return "address unknown"
    if address.version == 6:
        address = ipaddress.ip_network((address, IPV6_NETWORK), strict=False).network_address
    return f"address {address}"


def limits_of(settings: ServeSettings) -> dict[str, RateLimitItem]:
    """The limit for each kind of request; empty for no limits."""
    text = settings.rate_limit
    if text is None and settings.open and not is_loopback(settings.host):
        text = OPEN_LIMIT
    if text is None or text == NO_LIMIT:
        return {}
    query = parse(text)
    return {"query": query, "read": type(query)(READS_PER_QUERY * query.amount, query.multiples)}


def storage_of(settings: ServeSettings) -> Storage:
    """The storage of the counts.

    Raises:
        DacoError: there is no such storage, or a package for it is not installed.
    """
    try:
        storage = storage_from_string(settings.rate_limit_storage)
    except (ConfigurationError, ImportError) as error:
        raise DacoError(f"Rate limits cannot be counted in {settings.rate_limit_storage}: {error}.") from error
    if not isinstance(storage, Storage):
        raise UsageError(f"Rate limits cannot be counted in {settings.rate_limit_storage}: put async+ before it.")
    return storage


def _period(limit: RateLimitItem) -> str:
    return f"{limit.multiples} {limit.GRANULARITY.name}{'s' if limit.multiples > 1 else ''}"
