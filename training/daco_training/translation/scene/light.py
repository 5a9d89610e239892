"""Converts pixels between 8-bit sRGB and linear radiance, and simulates the effects of a camera."""

import numpy as np
from PIL import Image

from daco_training.translation.scene.filters import gaussian_blur, guided_filter

LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)  # Rec. 709

_CODES = np.arange(256) / 255.0
_LINEAR = np.where(_CODES <= 0.04045, _CODES / 12.92, ((_CODES + 0.055) / 1.055) ** 2.4).astype(np.float32)
# lookup table from radiance in steps of 1/65535 to a code: within 0.06 of a code of the exact curve
_STEPS = np.arange(65536) / 65535.0
_CODED = np.where(_STEPS <= 0.0031308, 12.92 * _STEPS, 1.055 * _STEPS ** (1 / 2.4) - 0.055)
_CODE_OF_STEP = (_CODED * 255.0 + 0.5).astype(np.uint8)


def to_linear(image: Image.Image) -> np.ndarray:
    """An RGB image as linear radiance, (h, w, 3) float32, 0 to 1 (IEC 61966-2-1)."""
    radiance: np.ndarray = _LINEAR[np.asarray(image)]
    return radiance


def to_image(radiance: np.ndarray) -> Image.Image:
    """Linear radiance (h, w, 3) as an RGB image; values outside 0 to 1 are clipped (IEC 61966-2-1)."""
    steps = (np.clip(radiance, 0.0, 1.0) * 65535.0 + 0.5).astype(np.uint16)
    return Image.fromarray(_CODE_OF_STEP[steps])


def luminance(radiance: np.ndarray) -> np.ndarray:
    """(h, w, 3) linear to (h, w)."""
    value: np.ndarray = radiance @ LUMINANCE
    return value


def slow_light(value: np.ndarray, radius: int) -> np.ndarray:
    """The slow changes of light in a scene, except at edges: the smoothed logarithm of a luminance (h, w)."""
    logarithm = np.log(value + 1e-3)
    return guided_filter((logarithm + 7.0) / 7.0, logarithm, max(radius, 2), 0.02)


def roll_off(radiance: np.ndarray) -> np.ndarray:
    """A film-like shoulder: linear up to 0.6, then approaching 1, so that bright light keeps some colour."""
    rolled = radiance.copy()
    high = radiance > 0.6
    rolled[high] = 1.0 - 0.4 * np.exp((0.6 - radiance[high]) / 0.4)
    return rolled


def add_glow(radiance: np.ndarray, share: float, radius: float) -> np.ndarray:
    """Veiling glare: a lens spreads `share` of the light by two Gaussians, `radius` and 4 `radius` pixels wide."""
    near, far = gaussian_blur(radiance, radius), gaussian_blur(radiance, 4.0 * radius)
    return (1.0 - share) * radiance + share * (0.6 * near + 0.4 * far)


def add_sensor_noise(
    radiance: np.ndarray, full_well: float, read_noise: float, random: np.random.Generator
) -> np.ndarray:
    """Adds shot noise and read noise of a sensor that saturates at radiance 1.

    Args:
        radiance: (h, w, 3) linear.
        full_well: electrons at radiance 1; fewer at a higher ISO.
        read_noise: standard deviation in electrons.

    Shot noise is Poisson-distributed; it is approximated by a Gaussian of equal variance, which is accurate above some
    ten electrons.
    """
    deviation = np.sqrt(np.maximum(radiance, 0.0) / full_well + (read_noise / full_well) ** 2)
    noisy: np.ndarray = radiance + deviation * random.standard_normal(radiance.shape, dtype=np.float32)
    return noisy
