"""Find where photographs were taken, from Python.

    import daco_serve

    with daco_serve.Client("http://127.0.0.1:8000") as client:  # a running server
        answer = client.query("night.jpg")

    index = daco_serve.Index.open("maps/day")  # or an index without a server
    estimate = index.localize("night.jpg")

Names are imported when they are first used: a program that only queries a server imports httpx and pydantic alone.
See docs/reference/python.md.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from daco_core.errors import (
        DacoError,
        DamagedEncoder,
        DamagedIndex,
        MissingExtra,
        NotFound,
        StoreAway,
        UsageError,
    )
    from daco_core.photographs.images import UnreadableImage
    from daco_index.build import BuildOptions
    from daco_serve.api.encoder import Encoder
    from daco_serve.api.evaluation import Evaluation, evaluate
    from daco_serve.api.index import Index
    from daco_serve.client import AsyncClient, Client, Refused, Unreachable
    from daco_serve.engine.answers import SearchArea
    from daco_serve.http.schemas import Prior, QueryAnswer

_HOMES = {
    "daco_core.errors": (
        "DacoError",
        "DamagedEncoder",
        "DamagedIndex",
        "MissingExtra",
        "NotFound",
        "StoreAway",
        "UsageError",
    ),
    "daco_core.photographs.images": ("UnreadableImage",),
    "daco_index.build": ("BuildOptions",),
    "daco_serve.api.encoder": ("Encoder",),
    "daco_serve.api.evaluation": ("Evaluation", "evaluate"),
    "daco_serve.api.index": ("Index",),
    "daco_serve.client": ("AsyncClient", "Client", "Refused", "Unreachable"),
    "daco_serve.engine.answers": ("SearchArea",),
    "daco_serve.http.schemas": ("Prior", "QueryAnswer"),
}

__all__ = [
    "AsyncClient",
    "BuildOptions",
    "Client",
    "DacoError",
    "DamagedEncoder",
    "DamagedIndex",
    "Encoder",
    "Evaluation",
    "Index",
    "MissingExtra",
    "NotFound",
    "Prior",
    "QueryAnswer",
    "Refused",
    "SearchArea",
    "StoreAway",
    "Unreachable",
    "UnreadableImage",
    "UsageError",
    "evaluate",
]


def __getattr__(name: str) -> Any:
    for module, names in _HOMES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
