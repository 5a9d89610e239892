"""Security headers for every answer."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daco_serve.operation.tiles import tile_host

DOCS = "/docs"
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# FastAPI's documentation page starts Swagger UI with its own inline script and styles
DOCS_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:;"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FIXED = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "geolocation=(), microphone=(), camera=(self)",
}


class Headers:
    """Sets the security headers of every answer.

    Args:
        tiles: address of the tile server whose images the page may show.
        shared: whether pages of other sites may show the photographs; otherwise browsers prevent that.
    """

    def __init__(self, app: ASGIApp, tiles: str | None = None, shared: bool = False) -> None:
        self._app = app
        self._fixed = {**FIXED, "Cross-Origin-Resource-Policy": "cross-origin" if shared else "same-origin"}
        # Leaflet replaces a tile that it drops by an empty image with a data: address
        shown = f"img-src 'self' blob: data: {tile_host(tiles)};" if tiles else "img-src 'self' blob:;"
        self._page_policy = PAGE_POLICY.replace("img-src 'self' blob:;", shown)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(self._fixed)
                headers["Content-Security-Policy"] = DOCS_POLICY if scope["path"] == DOCS else self._page_policy
                headers.setdefault("Cache-Control", "no-cache")
            await send(message)

        await self._app(scope, receive, send_with_headers)
