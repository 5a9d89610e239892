"""Gives every request an id, logs and counts it, and turns an unexpected error into a 500 without details."""

import logging
import re
import time
from uuid import uuid4

from opentelemetry import trace
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from daco_serve.http.refusals import refusal_of_fault
from daco_serve.operation import metrics
from daco_serve.operation.logs import request_id

log = logging.getLogger("daco_serve.access")

ID_HEADER = "X-Request-ID"
SANE_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
MOST_PATH = 256  # bytes of a path that are logged
QUIET = {"/healthz", "/readyz", "/metrics"}  # requested every few seconds by machines, so not logged


class Observe:
    """Uses the client's X-Request-ID if it is valid, else creates one, and returns it in the answer.

    The log contains the path but never the query string, which may contain a position, nor data of the photograph.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        given = Headers(scope=scope).get(ID_HEADER, "")
        id = given if SANE_ID.fullmatch(given) else uuid4().hex
        scope.setdefault("state", {})
        status = 0

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = id
            await send(message)

        _mark_span(scope, id)
        token = request_id.set(id)
        try:
            await self._app(scope, receive, send_with_id)
        except Exception as error:
            log.exception("A request failed.")
            if status == 0:
                await refusal_of_fault(error).response()(scope, receive, send_with_id)
        finally:
            _tell(scope, status, time.perf_counter() - began)
            request_id.reset(token)


def _mark_span(scope: Scope, id: str) -> None:
    span = trace.get_current_span()
    span.set_attribute("daco.request_id", id)
    if scope.get("query_string"):
        span.set_attribute("url.query", "REDACTED")  # as in the log


def _tell(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")  # not the requested path, which would make a series for each
    method = scope["method"] if scope["method"] in METHODS else "other"
    metrics.requests.labels(method, route, status).inc()
    metrics.request_seconds.labels(route).observe(seconds)
    if scope["state"].get("refusal"):
        metrics.refusals.labels(scope["state"]["refusal"]).inc()
    client = scope["client"][0] if scope.get("client") else "-"
    # percent-encoded, as it was sent, so that no line break or escape sequence reaches a terminal
    path = scope.get("raw_path", scope["path"].encode())[:MOST_PATH].decode("ascii", "backslashreplace")
    key, refusal = scope["state"].get("key"), scope["state"].get("refusal")
    log.log(
        logging.DEBUG if scope["path"] in QUIET else logging.INFO,
        "%s %s %d%s, %.0f ms, %s",
        method,
        path,
        status,
        f" {refusal}" if refusal else "",
        1000 * seconds,
        f"{key}@{client}" if key else client,
        extra={
            "method": method,
            "path": path,
            "status": status,
            "milliseconds": round(1000 * seconds, 2),
            "client": client,
            "key": key,
            "refusal": refusal,
        },
    )
