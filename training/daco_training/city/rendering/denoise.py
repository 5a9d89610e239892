"""Removes the noise of a rendering with few samples, guided by noise-free features. Arrays only."""

from dataclasses import dataclass

import numpy as np

from daco_training.city.rendering.weather import LUMINANCE

STEPS = (1, 2, 4, 8)  # pixels between the filter taps of each pass
NEIGHBOURS = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]
DARKEST_ALBEDO = 0.02
PLANE_TOLERANCE = 0.06  # metres that a tap may lie off the pixel's own plane
TURN_TOLERANCE = 0.04  # one minus the cosine between two normals
LIGHT_TOLERANCE = 3.0  # standard deviations of the noise
WHOLE = (
    0.9,
    0.98,
)  # length of a pixel's mean normal: below the first value it shows several surfaces, and takes light from around it


@dataclass(frozen=True)
class Guides:
    """What each pixel shows: albedo, surface normal (zero for sky), position in metres, all (h, w, 3); and the share
    that is not sky, (h, w), 0 to 1."""

    albedo: np.ndarray
    normal: np.ndarray
    position: np.ndarray
    coverage: np.ndarray


def _taps(image: np.ndarray, reach: int) -> np.ndarray:
    margins = ((reach, reach), (reach, reach)) + ((0, 0),) * (image.ndim - 2)
    return np.pad(image, margins, mode="edge")


def _shifted(padded: np.ndarray, reach: int, dy: int, dx: int) -> np.ndarray:
    height, width = padded.shape[0] - 2 * reach, padded.shape[1] - 2 * reach
    return padded[reach + dy : reach + dy + height, reach + dx : reach + dx + width]


def _tame_fireflies(light: np.ndarray) -> np.ndarray:
    """Scales down a pixel that is brighter than the third brightest of its eight neighbours, light (h, w, 3)."""
    luminance = light @ LUMINANCE.astype(np.float32)
    padded = _taps(luminance, 1)
    around = np.stack([_shifted(padded, 1, dy, dx) for dy, dx in NEIGHBOURS])
    limit = 1.2 * np.partition(around, 5, axis=0)[5] + 1e-6
    return np.asarray(light * np.minimum(1.0, limit / np.maximum(luminance, 1e-6))[..., None])


def denoise(first: np.ndarray, second: np.ndarray, guides: Guides) -> np.ndarray:
    """The mean of two independent renderings (h, w, 3), linear, with their noise filtered out.

    An edge-avoiding a-trous filter (Dammertz et al. 2010) over radiance divided by albedo, so that textures stay sharp.
    Its width follows the variance of the noise (as in Schied et al. 2017, section 4.4), which is estimated from the
    difference of the two renderings.
    """
    albedo = np.maximum(guides.albedo, DARKEST_ALBEDO).astype(np.float32)
    one, two = first.astype(np.float32) / albedo, second.astype(np.float32) / albedo
    luminance = LUMINANCE.astype(np.float32)
    plain = _tame_fireflies(((first + second) / 2).astype(np.float32))
    light = _tame_fireflies((one + two) / 2)
    squared = (((one - two) @ luminance) ** 2 / 4).astype(np.float32)
    squared = np.minimum(squared, (light @ luminance) ** 2)
    padded = _taps(squared, 2)
    blocks = [_shifted(padded, 2, dy, dx) for dy in range(-2, 3) for dx in range(-2, 3)]
    variance = np.asarray(np.mean(blocks, axis=0), np.float32)
    normal, position = guides.normal.astype(np.float32), guides.position.astype(np.float32)
    for step in STEPS:
        brightness = light @ luminance
        pads = [_taps(layer, step) for layer in (light, brightness, variance, normal, position)]
        spread = LIGHT_TOLERANCE * np.sqrt(variance) + 1e-4
        total = np.ones_like(brightness)
        summed, noise = light.copy(), variance.copy()
        for dy, dx in NEIGHBOURS:
            there = [_shifted(pad, step, dy * step, dx * step) for pad in pads]
            turn = 1.0 - (normal * there[3]).sum(-1)
            off = np.abs((normal * (there[4] - position)).sum(-1))
            weight = np.exp(-np.abs(there[1] - brightness) / spread - turn / TURN_TOLERANCE - off / PLANE_TOLERANCE)
            weight *= 0.8 if dy == 0 or dx == 0 else 0.6
            total += weight
            summed += weight[..., None] * there[0]
            noise += weight**2 * there[2]
        light, variance = summed / total[..., None], noise / total**2
    whole = np.clip((np.sqrt((normal**2).sum(-1)) - WHOLE[0]) / (WHOLE[1] - WHOLE[0]), 0.0, 1.0)[..., None]
    padded, share = _taps(light * whole, 1), _taps(whole, 1)
    around = np.sum([_shifted(padded, 1, dy, dx) for dy, dx in NEIGHBOURS], axis=0)
    count = np.sum([_shifted(share, 1, dy, dx) for dy, dx in NEIGHBOURS], axis=0)
    mixed = np.where(count > 1.5, around / np.maximum(count, 1e-3), light)
    clean = (whole * light + (1.0 - whole) * mixed) * albedo
    return np.where(guides.coverage[..., None] > 0.99, clean, plain)
