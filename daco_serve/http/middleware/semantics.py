"""What RFC 9110 asks of every address alike: HEAD, ranges, and that no error looks different from the others."""

import re

from fastapi.responses import JSONResponse
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daco_serve.http.refusals import REFUSALS, envelope

RANGE = re.compile(r"bytes\s*=\s*(?:(?P<first>\d{1,18})-(?P<last>\d{1,18})?|-\d{1,18})\s*", re.ASCII | re.IGNORECASE)
# what Starlette refuses by itself, in words of its own
CODES = {400: "bad_request", 404: "not_found", 405: "method_not_allowed", 416: "range_not_satisfiable"}
OF_THE_TEXT = {"content-type", "content-length"}


class Semantics:
    """Answers HEAD as GET without the content, ignores ranges that are none, and gives every error one form.

    A Range of another unit, a broken one, or one of several parts is ignored, as section 14.2 has it or allows.
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
            # a scope of its own: the server leaves the content out where the request's says HEAD
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
    """A `send` that puts the envelope in the place of an error's text."""
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
