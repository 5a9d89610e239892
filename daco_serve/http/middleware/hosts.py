"""Keeps other sites' pages from asking a server on loopback through their visitor's browser."""

import ipaddress
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from daco_serve.http.refusals import Refusal

HOST = re.compile(r"(\[(?P<address>[0-9a-f:.]+)\]|(?P<name>[^\[\]:]+))(:\d*)?", re.ASCII)


class LoopbackHosts:
    """Refuses with 421 what was meant for another host than this machine.

    A page whose name is made to resolve to 127.0.0.1 may read what a server there answers; only its Host gives it away.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and not _is_this_machine(Headers(scope=scope).get("host", "")):
            await Refusal("wrong_host").response()(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _is_this_machine(host: str) -> bool:
    """Whether a Host header names loopback; browsers always send one, so none is no danger."""
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
