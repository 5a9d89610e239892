"""The Python client of a running server: `Client`, and `AsyncClient` for asyncio."""

from daco_serve.client.client import AsyncClient, Client
from daco_serve.client.protocol import Refused, Unreachable

__all__ = ["AsyncClient", "Client", "Refused", "Unreachable"]
