"""The interface of translators, and the list of all."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from daco_core.errors import UsageError
from daco_core.photographs.layout import DataSet
from daco_training.translation.fog import FogTranslator
from daco_training.translation.fourier import FourierTranslator
from daco_training.translation.night import NightTranslator
from daco_training.translation.reinhard import ReinhardTranslator
from daco_training.translation.snow import SnowTranslator


class Translator(Protocol):
    """Makes a photograph of one domain look as if it had been taken in another. Threads may share one translator.

    Creating one raises `DacoError` for a data set that it does not support.
    """

    settings: dict[str, object]
    """What affects the look of a twin besides the seed; recorded, so that different twins are not mixed."""

    def translate(self, photograph: Path, target: str, random: np.random.Generator) -> Image.Image:
        """The twin of a photograph, RGB, of the same upright size.

        Args:
            photograph: the original's file.
            target: the domain folder to translate to, such as `domain_b`.
            random: the only source of randomness, so that a seed gives the same twins in any order.
        """
        ...


def _cut(dataset: DataSet) -> Translator:
    from daco_training.translation.cut.translator import CutTranslator  # imports PyTorch, which the others do not need

    return CutTranslator(dataset)


# the method's name on the command line -> creates the translator for a data set
TRANSLATORS: dict[str, Callable[[DataSet], Translator]] = {
    "fourier": FourierTranslator,
    "reinhard": ReinhardTranslator,
    "fog": FogTranslator,
    "night": NightTranslator,
    "snow": SnowTranslator,
    "cut": _cut,
}


def check_translator(name: str) -> None:
    """Raises UsageError if there is no translator of this name."""
    if name not in TRANSLATORS:
        raise UsageError(f"There is no translation method {name!r}: choose {', '.join(TRANSLATORS)}.")
