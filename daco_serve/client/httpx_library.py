"""httpx, imported without its command line, which imports rich and click: a quarter of the client's import."""

from daco_core.extras import import_without

with import_without("httpx._main"):
    import httpx

__all__ = ["httpx"]
