"""Adds fog by Koschmieder's law, with true or estimated depth; and removes it by inverting the same law.

Source: Koschmieder (1924), with the 5 % contrast of the meteorological optical range (WMO-No. 8, chapter 9).
"""

import math
from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_training.translation.directions import domain_of, foggy_domains
from daco_training.translation.scene.depth import depth_of, estimate_airlight, haze_transmission
from daco_training.translation.scene.light import luminance, to_image, to_linear
from daco_training.translation.scene.sky import find_sky

CONTRAST_LEFT = 0.05  # the contrast that remains at the visibility distance
VISIBILITY = 40.0, 150.0  # metres: dense to moderate fog
AIRLIGHT = 1.8, 3.0  # brightness of the fog, relative to the mean luminance of the clear photograph
BRIGHTEST_AIRLIGHT = 0.75
TINT = np.array([0.97, 0.99, 1.0], dtype=np.float32)
LEAST_PASSED = 0.25  # limits the amplification of the inversion to 4, because of 8-bit input (the paper uses 0.1)
CLEAR_LUMINANCE = 0.2  # mean luminance of a dehazed photograph
MOST_GAIN = 2.0


class FogTranslator:
    """Adds fog to a photograph, or removes it from one of a domain named after fog. Needs one domain only.

    Works in linear radiance. The depth is the data set's own or an estimate (`depth.depth_of`).
    """

    def __init__(self, dataset: DataSet) -> None:
        self.settings: dict[str, object] = {}
        self.dataset = dataset
        self._foggy = foggy_domains(dataset)

    def translate(self, photograph: Path, target: str, random: np.random.Generator) -> Image.Image:
        image = open_rgb(photograph)
        if domain_of(self.dataset, photograph) in self._foggy:
            return to_image(remove_fog(image))
        radiance = to_linear(image)
        depth = depth_of(self.dataset, photograph, image)
        visibility = float(np.exp(random.uniform(*np.log(VISIBILITY))))
        brightness = random.uniform(*AIRLIGHT) * float(luminance(radiance).mean())
        return to_image(add_fog(radiance, depth, visibility, min(brightness, BRIGHTEST_AIRLIGHT) * TINT))


def transmission(depth: np.ndarray, visibility: float) -> np.ndarray:
    """The share of light that passes through `depth` metres of fog: t = exp(-beta d), beta = -ln 0.05 / V = 2.996 / V.

    Args:
        depth: any shape, metres.
        visibility: V in metres.
    """
    passed: np.ndarray = np.exp(depth * (math.log(CONTRAST_LEFT) / visibility))
    return passed


def add_fog(radiance: np.ndarray, depth: np.ndarray, visibility: float, airlight: np.ndarray) -> np.ndarray:
    """I = R t + A (1 - t).

    Args:
        radiance: R, (h, w, 3) linear.
        depth: (h, w) metres; where it is infinite, the result is the airlight.
        visibility: metres.
        airlight: A, (3,).
    """
    passed = transmission(depth, visibility)[..., None]
    foggy: np.ndarray = radiance * passed + airlight * (1.0 - passed)
    return foggy


def remove_fog(image: Image.Image) -> np.ndarray:
    """R = (I - A) / max(t, 0.25) + A with t from the dark channel, then exposed for a clear day.

    A is the fog in front of the sky. Only if no sky is visible, it is taken from the haziest pixels, which may be wrong
    if there is a white wall.

    Args:
        image: I, RGB.

    Returns:
        R, (h, w, 3) linear.
    """
    radiance = to_linear(image)
    sky = find_sky(image, night=False)
    airlight = np.average(radiance, axis=(0, 1), weights=sky) if sky.any() else estimate_airlight(radiance)
    passed = np.maximum(haze_transmission(radiance, airlight), LEAST_PASSED)[..., None]
    clear = np.maximum((radiance - airlight) / passed + airlight, 0.0)
    gain = CLEAR_LUMINANCE / max(float(luminance(clear).mean()), 1e-3)
    exposed: np.ndarray = clear * np.clip(gain, 1.0 / MOST_GAIN, MOST_GAIN)
    return exposed
