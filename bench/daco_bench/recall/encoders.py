"""The encoders that a command line puts side by side, each under a name of its own."""

from collections.abc import Sequence

from daco_core.encoder.stored import StoredEncoder
from daco_core.errors import UsageError
from daco_index.embedding.encoders import find_encoder
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.engines.engine import Engine


def named_engines(
    sources: Sequence[str], device: str = "auto", trust: bool = False, image_size: int | None = None
) -> dict[str, Engine]:
    """Name to the engine that `daco-index build` takes for that encoder on a device, in the order given.

    Args:
        sources: each `ENCODER`, as `find_encoder` knows it, or `NAME=ENCODER`. Without a name it is
            called what `label_of` says.
        trust: consent to execute third-party code.
        image_size: as `find_encoder` takes it; None for the encoders' own.

    Raises:
        DacoError: there is no such encoder, or two have the same name.
    """
    found: dict[str, Engine] = {}
    for source in sources:
        name, named, encoder = source.partition("=")
        stored = find_encoder(encoder if named else source, trust, image_size)
        label = name if named else label_of(stored, source)
        if label in found:
            raise UsageError(
                f"Two encoders are called {label!r}: name them, as in --encoder other={encoder or source}."
            )
        found[label] = create_engine(stored, device, goal="throughput")
    return found


def label_of(encoder: StoredEncoder, source: str) -> str:
    """What an encoder is called that nobody named: the method that it was trained with, or else its source."""
    return str(encoder.config.training.get("method_name", source))
