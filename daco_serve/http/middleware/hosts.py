"""Protects a server on loopback against other sites' pages in a browser on the same machine (DNS rebinding)."""

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from daco_serve.http.refusals import Refusal

HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]+))(:\d*)?", re.ASCII)


class LoopbackHosts:
    """Rejects with 421 requests for another host than this machine.

    A page whose host name resolves to 127.0.0.1 could read answers of a server there; only its Host header differs.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not _is_this_machine(Headers(scope=scope).get("host", "")):
            await Refusal("wrong_host").response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_this_machine(host: str) -> bool:
    """Whether a Host header names loopback. Browsers always send one, so a missing one is harmless."""
    if not host:
        return True
    found = HOST.fullmatch(host.lower())
    if found is None:
        return False
    name = found["address"] or found["name"]
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
