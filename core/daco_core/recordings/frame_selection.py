"""Selects the frames of a recording that become photographs: one per interval, and none that is blurred."""

import re
import statistics
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from daco_core.errors import UsageError

EVERY = re.compile(r"(\d+(?:\.\d+)?)(m|s)")
LOOKED_AT_WIDTH = 320  # pixels: the width at which sharpness is measured
COMPARED = 31  # frames, including the latest, whose median sharpness is the reference: about a second of video
FEWEST_COMPARED = 5
# a share of that median: motion blur over 1 % of a photograph's width left 0.26 to 0.46 of its sharpness, over 0.4 %
# 0.66 to 0.72 (photographs of streets and of a walk)
BLURRED = 0.4


@dataclass(frozen=True)
class Interval:
    """The interval between two frames: metres of the way, or seconds."""

    length: float
    unit: Literal["m", "s"]

    def __str__(self) -> str:
        return f"{self.length:g}{self.unit}"


def parse_interval(text: str) -> Interval:
    """Parses an interval: `5m` for metres, `0.5s` for seconds.

    Raises:
        UsageError: it has another form, or is 0.
    """
    found = EVERY.fullmatch(text.strip().lower())
    if found is None or float(found[1]) == 0:
        raise UsageError(f"{text!r} is not an interval between frames: give metres such as 5m, or seconds such as 1s.")
    return Interval(float(found[1]), "m" if found[2] == "m" else "s")


def sharpness(grey: NDArray[np.uint8]) -> float:
    """The variance of an image's Laplacian (Pech-Pacheco et al., ICPR 2000), which blur reduces.

    Args:
        grey: (height, width), both at least 3.
    """
    pixels = grey.astype(np.float32)
    around = pixels[:-2, 1:-1] + pixels[2:, 1:-1] + pixels[1:-1, :-2] + pixels[1:-1, 2:]
    return float(np.var(4 * pixels[1:-1, 1:-1] - around))


class BlurDetector:
    """Detects frames that are blurred in comparison with those just before them, which show almost the same."""

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=COMPARED)

    def is_blurred(self, grey: NDArray[np.uint8]) -> bool:
        """Whether a frame, (height, width), is blurred. Must be called for every frame in order."""
        value = sharpness(grey)
        self._latest.append(value)
        return len(self._latest) >= FEWEST_COMPARED and value < BLURRED * statistics.median(self._latest)
