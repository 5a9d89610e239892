"""Keeps other sites' pages from having the server work for them through their visitor's browser."""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from daco_serve.http.refusals import Refusal

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class SameOrigin:
    """Refuses with 403 what a page of another site posts, and the WebSockets that it opens.

    A form needs nobody's leave for that, unlike a script.

    The rules are those of Go's `http.CrossOriginProtection`: a browser says itself where a request comes from
    (Sec-Fetch-Site), or an older one names the origin, which must be the host that it asks. What is no browser sends
    neither.

    Args:
        allowed: origins whose pages may ask, as `--cors-origin` names them.
    """

    def __init__(self, app: ASGIApp, allowed: Collection[str]) -> None:
        self._app = app
        self._allowed = set(allowed)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        acts = scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in SAFE_METHODS)
        if acts and self._is_foreign(Headers(scope=scope)):
            await Refusal("wrong_origin").response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_foreign(self, headers: Headers) -> bool:
        origin, site = headers.get("origin"), headers.get("sec-fetch-site")
        if self._allowed & {origin, "*"}:
            return False
        if site is not None:
            return site not in ("same-origin", "none")
        return origin is not None and _host(origin) != headers.get("host", "").lower()


def _host(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
