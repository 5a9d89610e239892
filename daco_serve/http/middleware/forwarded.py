"""Finds the client's address: the other end of the connection, or the address that a trusted proxy names."""

import ipaddress

from starlette.types import ASGIApp, Receive, Scope, Send

from daco_serve.operation.addresses import networks_of, plain_address

MOST_HOPS = 32  # proxies in a chain that are evaluated


class Forwarded:
    """Takes the client's address from X-Forwarded-For and the scheme from X-Forwarded-Proto, if a trusted proxy sends
    them.

    The list is read backwards from the nearest proxy, as long as each address is trusted. Text that is not an address
    is ignored, so that it neither reaches the log nor counts as a separate client for rate limits.

    Args:
        trusted: addresses and networks separated by commas, or `*` for all.
    """

    def __init__(self, app: ASGIApp, trusted: str) -> None:
        self._app = app
        self._networks = networks_of(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope.get("client"):
            peer = plain_address(scope["client"][0])
            client = peer
            if self._trusts(peer):
                named = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
                client = self._client(peer, named.decode("latin-1"))
                schemes = [value.strip() for name, value in scope["headers"] if name == b"x-forwarded-proto"]
                if scope["type"] == "http" and schemes and schemes[-1] in (b"http", b"https"):
                    scope["scheme"] = schemes[-1].decode()
            scope["client"] = (client, scope["client"][1] if client == peer else 0)
        await self._app(scope, receive, send)

    def _client(self, peer: str, named: str) -> str:
        client = peer
        for text in reversed(named.rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
            address = _address(text)
            if address is None or not self._trusts(client):
                break
            client = address
        return client

    def _trusts(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def _address(text: str) -> str | None:
    """An address in the notations of proxies: bare, with a port, or IPv6 in brackets."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return plain_address(str(ipaddress.ip_address(text)))
    except ValueError:
        return None
