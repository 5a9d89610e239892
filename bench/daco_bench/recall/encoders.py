"""The encoders that a command line compares, each with its own name."""

from collections.abc import Sequence

from daco_core.encoder.stored import StoredEncoder
from daco_core.errors import UsageError
from daco_index.embedding.encoders import find_encoder
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.engine import Engine


def named_engines(
    sources: Sequence[str], device: str = "auto", trust: bool = False, image_size: int | None = None
) -> dict[str, Engine]:
    """Name to the engine that `daco-index build` would use for that encoder on a device, in the given order.

    Args:
        sources: each `ENCODER`, see `find_encoder`, or `NAME=ENCODER`. Without a name, the name is that of `label_of`.
        trust: consent to execute third-party code.
        image_size: see `find_encoder`; None for the encoders' own.

    Raises:
        DacoError: there is no such encoder, or two have the same name.
    """
    found: dict[str, Engine] = {}
    for source in sources:
        name, named, encoder = source.partition("=")
        stored = find_encoder(encoder if named else source, trust, image_size)
        label = name if named else label_of(stored, source)
        if label in found:
            raise UsageError(f"Two encoders are named {label!r}: name them, as in --encoder other={encoder or source}.")
        found[label] = create_engine(stored, device, goal="throughput")
    return found


def label_of(encoder: StoredEncoder, source: str) -> str:
    """The default name of an encoder: the method that it was trained with, or else its source."""
    return str(encoder.config.training.get("method_name", source))
