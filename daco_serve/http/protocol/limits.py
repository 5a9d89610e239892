"""Limits on a request before it is parsed: the size of its head, its address and its trailers.

uvicorn accepts heads of any size. These limits are applied where the bytes arrive, so that they hold before a key is
checked.
"""

import asyncio
import logging
import re
from collections.abc import Sized
from typing import Any
from uuid import uuid4

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from daco_serve.http.middleware.headers import FIXED
from daco_serve.http.middleware.observe import ID_HEADER
from daco_serve.http.protocol.timeouts import ImpatientProtocol
from daco_serve.http.refusals import Refusal
from daco_serve.operation import metrics
from daco_serve.operation.addresses import plain_address

log = logging.getLogger("daco_serve.access")

HEAD_BYTES = 64 * 2**10  # all fields together, including the request line
HEAD_FIELDS = 100
URL_BYTES = 8 * 2**10
# what a chunked body may contain besides its content; counted like Go's net/http, which allows each chunk 16 bytes and
# twice its content (golang.org/issue/59153)
CHUNK_EXCESS_BYTES = 16 * 2**10
CHUNK_ALLOWANCE_BYTES = 16
MOST_WAITING = 16  # pipelined requests that wait for the answer to an earlier one
FEED_BYTES = 16 * 2**10  # bytes parsed between two checks
LINGER_SECONDS = 2.0  # how long a rejected client's data is still read, so that it sees the answer and not a reset
LINGER_BYTES = 2**20
TRACK_PATH = b"/v1/track"
HOST = re.compile(rb"[\w.~!$&'()*+,;=%-]*(:\d*)?|\[[0-9A-Fa-f:.]+\](:\d*)?", re.ASCII)  # RFC 9110, section 7.2


class BoundedProtocol(ImpatientProtocol):
    """HTTP/1.1 with limits on everything that is read before a route is called, and one format for its errors."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_body = False
        self._unread = 0  # bytes of an incomplete head
        self._head_bytes = 0
        self._fields = 0
        self._hosts: list[bytes] = []
        self._allowance = 0  # overhead allowed so far for a chunked body
        self._excess = 0
        self._waiting_refusal: Refusal | None = None
        self._lingering: int | None = None  # bytes that may still be read and discarded
        self._linger_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = _InTurn(transport, self.pipeline)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            self._lingering -= len(data)
            if self._lingering < 0:
                self.transport.abort()
            return
        if self._waiting_refusal is not None:
            return
        self._unset_keepalive_if_required()
        try:
            view = memoryview(data)
            for start in range(0, len(view), FEED_BYTES):
                self._feed(view[start : start + FEED_BYTES])
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self._hand_over()
                return
            # an upgrade to an unsupported protocol is answered as if it was not requested (RFC 9110, 7.8)
        except httptools.HttpParserError as error:
            # an error raised by a callback is the context of the parser's own error
            cause = error.__context__
            self._refuse(cause if isinstance(cause, Refusal) else Refusal("bad_request"))
        except Refusal as refusal:
            self._refuse(refusal)
        self._watch()

    def _feed(self, piece: memoryview) -> None:
        self._allowance = 0
        self.parser.feed_data(piece)
        if self._in_body:
            self._excess = max(0, self._excess + len(piece) - self._allowance)
            if self._excess > CHUNK_EXCESS_BYTES + FEED_BYTES:
                raise _trailers_too_large()
        else:
            self._unread += len(piece)
            if self._unread > HEAD_BYTES + FEED_BYTES:
                raise _head_too_large()

    # callbacks of the parser

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_body = False
        self._head_bytes = self._fields = 0
        self._hosts = []
        if len(self.pipeline) >= MOST_WAITING:
            raise Refusal("bad_request", f"No more than {MOST_WAITING} requests may wait on one connection.")

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > URL_BYTES:
            raise Refusal("address_too_long", f"The address is longer than {URL_BYTES} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value) + 4  # including ": " and the end of the line
        self._fields += 1
        if self._in_body:
            # a trailer is not part of the head, so nothing that identifies the client is taken from it
            if self._head_bytes > CHUNK_EXCESS_BYTES or self._fields > HEAD_FIELDS:
                raise _trailers_too_large()
            return
        if self._head_bytes + len(self.url) > HEAD_BYTES or self._fields > HEAD_FIELDS:
            raise _head_too_large()
        if name.lower() == b"host":
            self._hosts.append(value)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.get_http_version() == "1.1" and len(self._hosts) != 1:
            raise Refusal("bad_request", "A request needs exactly one Host header.")
        if not all(HOST.fullmatch(host) for host in self._hosts):
            raise Refusal("bad_request", "The Host header is not a valid host.")
        self._in_body = True
        self._head_bytes = self._fields = self._unread = self._excess = 0
        self._allowance += FEED_BYTES  # this piece also contains a part of the head
        super().on_headers_complete()

    def on_chunk_header(self) -> None:
        self._allowance += CHUNK_ALLOWANCE_BYTES

    def on_body(self, body: bytes) -> None:
        self._allowance += 3 * len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._unread = self._excess = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        last = not self.pipeline
        super().on_response_complete()
        if last and self._waiting_refusal is not None and not self.transport.is_closing():
            self._answer(self._waiting_refusal)

    # an upgrade to WebSocket, at the only address that supports it

    def _should_upgrade(self) -> bool:
        return super()._should_upgrade() and self.url.partition(b"?")[0] == TRACK_PATH and not self.pipeline

    def _hand_over(self) -> None:
        """Passes the connection and its timers to the WebSocket protocol."""
        for timer in (self._head_timer, self._send_timer, self._linger_timer):
            if timer is not None:
                timer.cancel()
        self.handle_websocket_upgrade()

    # requests that cannot be parsed are rejected, after the earlier ones were answered

    def _refuse(self, refusal: Refusal) -> None:
        cycle = self.cycle
        if cycle is None or cycle.response_complete:
            self._answer(refusal)
        elif not self.pipeline and cycle.more_body and not cycle.response_started:
            cycle.disconnected = True  # its body is invalid: its reader learns that no more will come
            cycle.message_event.set()
            self._answer(refusal)
        elif not self.pipeline and cycle.more_body:
            self.transport.close()
        else:
            if self.pipeline and cycle.more_body:
                self.pipeline.popleft()  # the newest request, whose body is invalid
            self._waiting_refusal = refusal
            self.flow.pause_reading()

    def _answer(self, refusal: Refusal) -> None:
        """Writes the error, and closes the connection after the client had time to read it."""
        if self.transport.is_closing() or self._lingering is not None:
            return
        response = refusal.response()
        headers = [*self.server_state.default_headers, *response.raw_headers]
        headers += [(name.lower().encode(), value.encode()) for name, value in FIXED.items()]
        headers += [(ID_HEADER.lower().encode(), uuid4().hex.encode()), (b"connection", b"close")]
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[refusal.status] + lines + b"\r\n" + bytes(response.body))
        metrics.requests.labels("other", "none", refusal.status).inc()
        metrics.refusals.labels(refusal.code).inc()
        client = plain_address(self.client[0]) if self.client else "-"
        log.info(
            "unread %d %s, %s",
            refusal.status,
            refusal.code,
            client,
            extra={"status": refusal.status, "client": client, "refusal": refusal.code},
        )
        self._lingering = LINGER_BYTES
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self._linger_timer = self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _unsupported_upgrade_warning(self) -> None:
        """Logs nothing, because any client could fill the log with it."""


class _InTurn(FlowControl):
    """Pauses reading while requests of the connection wait for the answer to an earlier one."""

    def __init__(self, transport: asyncio.Transport, waiting: Sized) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


def _head_too_large() -> Refusal:
    return Refusal(
        "head_too_large", f"The head of a request may have at most {HEAD_BYTES} bytes and {HEAD_FIELDS} fields."
    )


def _trailers_too_large() -> Refusal:
    return Refusal(
        "head_too_large", f"Trailers and chunk extensions may have at most {CHUNK_EXCESS_BYTES} bytes together."
    )
