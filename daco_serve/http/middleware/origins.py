"""Prevents other sites' pages from using the server through a visitor's browser (cross-site requests)."""

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from daco_serve.http.refusals import Refusal

SAFE_METHODS = {"GET", "HEAD", "OPTIONS"}


class SameOrigin:
    """Rejects with 403 posts and WebSockets from pages of other sites.

    Unlike a script, a form needs no permission for a cross-site post.

    The rules are those of Go's `http.CrossOriginProtection`: a browser states where a request comes from
    (Sec-Fetch-Site), or an older one names the origin, which must equal the requested host. Other programs send
    neither.

    Args:
        allowed: origins whose pages may send requests, as given with `--cors-origin`.
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
