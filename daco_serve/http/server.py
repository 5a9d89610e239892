"""The HTTP server that runs the application: uvicorn with this project's settings."""

import asyncio
import socket
from collections.abc import Callable

import uvicorn

from daco_serve.engine.service import Service
from daco_serve.http.app import create_app
from daco_serve.http.protocol.limits import BoundedProtocol
from daco_serve.http.protocol.websocket_limits import BoundedWebSocket
from daco_serve.operation.settings import GRACE_SECONDS, ServeSettings

ALIVE_SECONDS = 2  # interval of the event loop's signs of life
DRAIN_SECONDS = 0.3  # in which connections that were made before the end are accepted, and their requests arrive


class HttpServer(uvicorn.Server):
    """A server for a loaded service.

    Args:
        begun: called when it answers requests; from then on it can be stopped gracefully.
        alive: called every `ALIVE_SECONDS` from its event loop.
    """

    def __init__(
        self,
        settings: ServeSettings,
        service: Service,
        begun: Callable[[], None] | None = None,
        alive: Callable[[], None] | None = None,
    ) -> None:
        async def notify() -> None:
            if alive:
                alive()

        app = create_app(settings, service)
        super().__init__(
            uvicorn.Config(
                app,
                http=BoundedProtocol,
                ws=BoundedWebSocket.within(app.state.admission, settings.upload_seconds),
                ws_max_size=settings.max_upload_bytes,
                ws_per_message_deflate=False,  # photographs are already compressed; prevents decompression bombs
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # `middleware.forwarded` reads them, and validates the addresses
                timeout_graceful_shutdown=GRACE_SECONDS,
                callback_notify=notify,
                timeout_notify=ALIVE_SECONDS,
            )
        )
        self._begun = begun

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._begun:
            self._begun()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answers what was asked before the end, and ends.

        uvicorn closes the port at once, which breaks the connections that wait to be accepted. So the queue is first
        reduced to one, and emptied.
        """
        for listener in sockets or []:
            listener.listen(0)
        await asyncio.sleep(DRAIN_SECONDS)
        await super().shutdown(sockets)
