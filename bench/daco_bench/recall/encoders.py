"""The encoders that a command line puts side by side, each under a name of its own."""

from collections.abc import Sequence

from daco_core.errors import UsageError
from daco_training.devices import pick_device
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.sources import load_encoder


def named_encoders(sources: Sequence[str], device: str = "auto", trust: bool = False) -> dict[str, Encoder]:
    """Name to encoder, in the order given, on the device that `device` names.

    Args:
        sources: each `ENCODER`, as `load_encoder` knows it, or `NAME=ENCODER`. Without a name it is
            called what `label_of` says.
        trust: consent to running the code of others.

    Raises:
        DacoError: there is no such encoder, or two have the same name.
    """
    where = pick_device(device)
    found: dict[str, Encoder] = {}
    for source in sources:
        name, named, encoder = source.partition("=")
        model = load_encoder(encoder if named else source, trust).to(where)
        label = name if named else label_of(model, source)
        if label in found:
            raise UsageError(
                f"Two encoders are called {label!r}: name them, as in --encoder other={encoder or source}."
            )
        found[label] = model
    return found


def label_of(encoder: Encoder, source: str) -> str:
    """What an encoder is called that nobody named: the method that it was trained with, or else its source."""
    return str(encoder.config.training.get("method_name", source))
