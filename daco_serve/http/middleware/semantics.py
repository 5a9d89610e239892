"""What RFC 9110 requires of every address: HEAD, ranges; and one format for all errors."""

import re

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daco_serve.http.refusals import REFUSALS, envelope

RANGE = re.compile(r"bytes\s*=\s*(?:(?P<first>\d{1,18})-(?P<last>\d{1,18})?|-\d{1,18})\s*", re.ASCII | re.IGNORECASE)
# errors that Starlette answers itself, with other texts
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 416: "range_not_satisfiable"}
OF_THE_TEXT = {"content-type", "content-length"}


class Semantics:
    """Answers HEAD like GET without the content, ignores invalid ranges, and gives every error the same format.

    A Range with another unit, an invalid one, or one with several parts is ignored, as section 14.2 requires or allows.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if any(name == b"range" for name, _ in scope["headers"]) and not _is_one_range(Headers(scope=scope)):
            scope["headers"] = [field for field in scope["headers"] if field[0] != b"range"]
        if scope["method"] == "HEAD":
            # a separate scope: the server omits the content if the request's own says HEAD
            asked = {**scope, "method": "GET"}
            await self._app(asked, receive, _uniform(asked, receive, send))
            scope["route"] = asked.get("route")
        else:
            await self._app(scope, receive, _uniform(scope, receive, send))


def _is_one_range(headers: Headers) -> bool:
    given = headers.getlist("range")
    found = RANGE.fullmatch(given[0])
    if len(given) != 1 or found is None:
        return False
    return found["last"] is None or int(found["first"]) <= int(found["last"])


def _uniform(scope: Scope, receive: Receive, send: Send) -> Send:
    """A `send` that replaces the text of an error by the common format."""
    replaced = False

    async def send_in_one_form(message: Message) -> None:
        nonlocal replaced
        if message["type"] == "http.response.start" and message["status"] >= 400:
            headers = Headers(raw=message["headers"])
            replaced = not headers.get("content-type", "").startswith("application/json")
            if replaced:
                kept = {name: value for name, value in headers.items() if name not in OF_THE_TEXT}
                await _error(message["status"], kept)(scope, receive, send)
                return
        if not replaced:
            await send(message)

    return send_in_one_form


def _error(status: int, headers: dict[str, str]) -> JSONResponse:
    code = CODES.get(status, "bad_request" if status < 500 else "internal_error")
    return envelope(status, code, REFUSALS[code][1], headers)
