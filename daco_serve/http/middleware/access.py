"""Checks API keys; everything except the page, its parts and the health checks needs one."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from daco_serve.http.middleware.headers import DOCS
from daco_serve.http.refusals import Refusal
from daco_serve.operation.keys import KeyRing

# what a browser loads before a key is entered, and what a supervisor requests; no data of the map
ASKING = ("http", "websocket")
PUBLIC = {"/", "/favicon.ico", "/healthz", "/readyz", "/openapi.json", DOCS}
PUBLIC_FOLDERS = ("/web/", "/static-offline-docs/")
KEY_PROTOCOL = "daco.key."  # a script can set no header of a WebSocket except its subprotocols


class Access:
    """Rejects with 401 a request with a missing or wrong key, `Authorization: Bearer KEY` or `X-API-Key: KEY`.

    A WebSocket may send it as the subprotocol `daco.key.KEY`, too.
    """

    def __init__(self, app: ASGIApp, ring: KeyRing) -> None:
        self._app = app
        self._ring = ring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ASKING or is_public(scope["path"]):
            await self._app(scope, receive, send)
            return
        token = _token(Headers(scope=scope)) or _protocol_token(scope)
        name = self._ring.name_of(token) if token else None
        if name is None:
            await Refusal("key_wrong" if token else "key_missing").response()(scope, receive, send)
            return
        scope["state"]["key"] = name
        await self._app(scope, receive, send)


def is_public(path: str) -> bool:
    """Whether an address needs no key."""
    return path in PUBLIC or path.startswith(PUBLIC_FOLDERS)


def _token(headers: Headers) -> str:
    kind, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "").strip()


def _protocol_token(scope: Scope) -> str:
    offered = (str(name) for name in scope.get("subprotocols", []))
    return next((name.removeprefix(KEY_PROTOCOL) for name in offered if name.startswith(KEY_PROTOCOL)), "")
