"""WebSockets with limits: incoming messages count as uploads, and have the same time limit."""

import asyncio
from typing import cast

from starlette.types import Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.protocol import State

from daco_serve.http.middleware.rates import client_of
from daco_serve.http.refusals import Refusal
from daco_serve.http.uploads.admission import SILENT_SECONDS, Admission, Stream

TRY_AGAIN_LATER, POLICY_VIOLATION = 1013, 1008  # RFC 6455, section 7.4.1
CLOSE_SECONDS = 5.0  # for the closing handshake


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol with limits; uvicorn itself limits only the size of one message.

    A message counts from its first byte until the application has read it, so that many connections together hold no
    more than the limit for all uploads.
    """

    admission: Admission  # an attribute of a subclass, because uvicorn creates the connections
    upload_seconds: float

    _stream: Stream | None = None
    _fragments = 0  # bytes in complete frames of the incoming message
    _queued = 0  # bytes of messages that the application has not read
    _begun: float | None = None  # when the incoming message began, by the loop's clock
    _received = 0  # bytes since then
    _timer: asyncio.TimerHandle | None = None

    @classmethod
    def within(cls, admission: Admission, upload_seconds: float) -> type["BoundedWebSocket"]:
        """Creates the connection class for one server."""
        return type(cls.__name__, (cls,), {"admission": admission, "upload_seconds": upload_seconds})

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.handshake_complete:
            self._count(len(data))

    def handle_text(self, event: Frame) -> None:
        self._take_fragment(event)
        super().handle_text(event)

    def handle_bytes(self, event: Frame) -> None:
        self._take_fragment(event)
        super().handle_bytes(event)

    def handle_cont(self, event: Frame) -> None:
        self._take_fragment(event)
        super().handle_cont(event)

    async def receive(self):  # type: ignore[no-untyped-def]
        message = await super().receive()
        if message["type"] == "websocket.receive":
            text = message.get("text")
            self._queued -= len(message.get("bytes") or b"") if text is None else len(text.encode())
            self._count(0)
        return message

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self._stream is not None:
            self.admission.let_go(self._stream)
        super().connection_lost(exc)

    def _take_fragment(self, event: Frame) -> None:
        self._fragments += len(event.data)
        if event.fin:
            if not self.close_sent:
                self._queued += self._fragments
            self._fragments = 0
            self._begun = None

    def _count(self, received: int) -> None:
        """Counts the bytes held now, and times the incoming message."""
        if self.close_sent or self.transport.is_closing():
            return
        coming = len(self.conn.reader.buffer) + self._fragments
        try:
            if self._stream is None:
                self._stream = Stream(self.admission, client_of(cast(Scope, self.scope)), self._end)
            self.admission.resize(self._stream, coming + self._queued, True)
        except Refusal as refusal:
            self._end(refusal)
            return
        self._stop_timer()
        if not coming or self.read_paused:  # a pause is not the client's fault
            self._begun = None
            return
        now = self.loop.time()
        if self._begun is None:
            self._begun, self._received = now, 0
        self._received += received
        slowest = self._begun + SILENT_SECONDS + self._received / self.admission.least_rate
        deadline = min(self._begun + self.upload_seconds, slowest, now + SILENT_SECONDS)
        self._timer = self.loop.call_at(deadline, self._end, Refusal("upload_too_slow"))

    def _end(self, refusal: Refusal) -> None:
        """Closes the connection; the reason is sent to the client."""
        self._stop_timer()
        if self.close_sent or self.transport.is_closing() or self.conn.state is not State.OPEN:
            return
        code = TRY_AGAIN_LATER if refusal.status == 503 else POLICY_VIOLATION
        self.conn.fail(code, refusal.message)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": refusal.message})
        self.transport.close()
        self.loop.call_later(CLOSE_SECONDS, self.transport.abort)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
