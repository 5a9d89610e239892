"""httpx, imported without its command line, which imports rich and click: a quarter of the client's import."""

import sys

# Where it cannot be imported, httpx works without it. Whoever wants it may import it later.
COMMAND_LINE = "httpx._main"
sys.modules.setdefault(COMMAND_LINE, None)  # type: ignore[arg-type]

import httpx  # noqa: E402

if sys.modules[COMMAND_LINE] is None:
    del sys.modules[COMMAND_LINE]

__all__ = ["httpx"]
