"""What a translator is, and which there are."""

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
    """Makes a photograph of one domain look as if it had been taken in another. Threads may share one.

    Making one raises `DacoError` for a data set that it cannot work on.
    """

    settings: dict[str, object]
    """What else but the seed decides how a twin looks; kept beside the twins, so that different ones do not mix."""

    def translate(self, photograph: Path, target: str, random: np.random.Generator) -> Image.Image:
        """The twin of a photograph, RGB, of the same upright size.

        Args:
            photograph: the original's file.
            target: the domain folder to translate to, such as `domain_b`.
            random: all chance comes from here, so that a seed gives the same twins whatever the order.
        """
        ...


def _cut(dataset: DataSet) -> Translator:
    from daco_training.translation.cut.translator import CutTranslator  # imports PyTorch, which the others do without

    return CutTranslator(dataset)


# the method's name on the command line -> makes the translator for a data set
TRANSLATORS: dict[str, Callable[[DataSet], Translator]] = {
    "fourier": FourierTranslator,
    "reinhard": ReinhardTranslator,
    "fog": FogTranslator,
    "night": NightTranslator,
    "snow": SnowTranslator,
    "cut": _cut,
}


def check_translator(name: str) -> None:
    """Raises DacoError where there is no translator of this name."""
    if name not in TRANSLATORS:
        raise UsageError(f"No translation method {name!r}: choose {', '.join(TRANSLATORS)}.")
