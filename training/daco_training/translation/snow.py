"""A clear day to one with snow: snow lies on the ground, in trees and on edges, the sky is even, flakes may fall.

Works in linear radiance. Where the ground is says the depth (`depth.depth_of`); what else carries
snow is guessed from colour and from edges that are lit from above.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.errors import UsageError
from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_training.translation.directions import snowy_domains
from daco_training.translation.fog import TINT, add_fog
from daco_training.translation.scene.depth import (
    CAMERA_HEIGHT,
    FOCAL_SHARE,
    HALF_STREET,
    STREET_END,
    depth_of,
    ground_depth,
)
from daco_training.translation.scene.filters import gaussian_blur, resize
from daco_training.translation.scene.light import luminance, roll_off, slow_light, to_image, to_linear

ALBEDO = np.array([0.86, 0.89, 0.93], dtype=np.float32)  # of snow: nearly white, a little blue
GROUND_COVER = 0.35, 1.0  # share of the ground under snow, from a cleared road to none to be seen
TREE_COVER = 0.2, 0.9
EDGE_COVER = 0.3, 1.0
GREEN = 0.02, 0.10  # lead of green over red and blue from which a pixel counts as leaves, and fully does
ON_GROUND = 0.9  # a pixel at this share of the ground's distance or more lies on it
DRIFTS = 4, 16  # bare and covered ground takes turns: so often along the street, and at most so often across it
MAP = 256  # cells that the ground is drawn on, each way
RELIEF = 0.45  # how much of what was there shows through as light and shadow on the snow
SUN_TAKEN = 0.5  # how much of the light's unevenness a clouded sky takes out, in its logarithm
COLOUR_LEFT = 0.4, 0.9
CLOUDS = 0.35, 0.75  # radiance of the sky
MEAN_LIGHT = 0.16, 0.34  # mean luminance that the camera exposes for: what is not snow turns out dark
VISIBILITY = 200.0, 2000.0  # metres, through the air of a winter's day
FALLING = 0.5  # probability that it snows
FLAKES = 40, 900  # in a picture, most of them small
FLAKE_SIZE = 0.002, 0.008  # standard deviation, as a share of the shorter side


class SnowTranslator:
    """Puts snow over a photograph of a clear day. One domain is enough. Snow cannot be taken away again.

    Raises:
        DacoError: a domain of the set is named after snow or winter.
    """

    def __init__(self, dataset: DataSet) -> None:
        if snowy := sorted(snowy_domains(dataset)):
            raise UsageError(
                f"Method snow cannot take snow away again, and {snowy[0]} of {dataset.name} is named after it: "
                "use fourier, reinhard or cut."
            )
        self.settings: dict[str, object] = {}
        self.dataset = dataset

    def translate(self, photograph: Path, target: str, random: np.random.Generator) -> Image.Image:
        image = open_rgb(photograph)
        return to_snow(image, depth_of(self.dataset, photograph, image), random)


def to_snow(image: Image.Image, depth: np.ndarray, random: np.random.Generator) -> Image.Image:
    """A clear day's photograph as if taken in snow, of the same size.

    Args:
        depth: (h, w) metres, infinite in the sky.
    """
    radiance = to_linear(image)
    cover = _cover(image, luminance(radiance), depth, random)[..., None]
    light = _under_clouds(radiance, image)
    colour = random.uniform(*COLOUR_LEFT)
    light = colour * light + (1.0 - colour) * luminance(light)[..., None]
    # snow keeps the relief of what it lies on, in part
    value = luminance(light)
    relief = (value / max(float(value.mean()), 1e-3)) ** RELIEF
    snow = 0.6 * ALBEDO * np.clip(relief, 0.5, 1.4)[..., None]
    covered = light * (1.0 - cover) + snow * cover
    # the endless sky becomes clouds, what is far pales towards them
    clouds = random.uniform(*CLOUDS) * TINT
    visibility = float(np.exp(random.uniform(*np.log(VISIBILITY))))
    scene = add_fog(covered, depth, visibility, clouds)
    exposed = scene * (random.uniform(*MEAN_LIGHT) / max(float(luminance(scene).mean()), 1e-3))
    if random.random() < FALLING:
        flakes = _flakes(image.height, image.width, random)[..., None]
        exposed = exposed * (1.0 - flakes) + 0.8 * flakes
    return to_image(roll_off(exposed))


def _cover(image: Image.Image, value: np.ndarray, depth: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """How much of each pixel snow hides, (h, w) from 0 to 1; in the sky, where clouds hide it, anything."""
    shorter = min(image.size)
    ground = depth >= ON_GROUND * ground_depth(image.height, image.width)
    on_ground = gaussian_blur(ground.astype(np.float32), shorter / 60)
    bare = 1.0 - random.uniform(*GROUND_COVER)
    lying = on_ground * np.clip((_drifts(image.height, image.width, random) - bare) / 0.3 + 0.5, 0.0, 1.0)
    pixels = np.asarray(image, dtype=np.float32) / 255.0
    lead = pixels[..., 1] - np.maximum(pixels[..., 0], pixels[..., 2])
    leaves = np.clip((lead - GREEN[0]) / (GREEN[1] - GREEN[0]), 0.0, 1.0)
    in_trees = gaussian_blur(leaves, shorter / 120) * random.uniform(*TREE_COVER)
    # a top edge is lighter above than below: sills, cars, roofs
    smooth = gaussian_blur(np.sqrt(value), max(shorter / 250, 0.7))
    step = max(round(shorter / 100), 1)
    darker = np.zeros_like(smooth)
    darker[step:] = smooth[:-step] - smooth[step:]
    tops = np.clip((darker - 0.08) / 0.2, 0.0, 1.0) * random.uniform(*EDGE_COVER)
    cover: np.ndarray = np.maximum(lying, np.maximum(in_trees, tops))
    return cover


def _under_clouds(radiance: np.ndarray, image: Image.Image) -> np.ndarray:
    """The light without most of the sun's patches and shadows, (h, w, 3)."""
    light = slow_light(luminance(radiance), min(image.size) // 10)
    even: np.ndarray = radiance * np.exp(-SUN_TAKEN * (light - light.mean()))[..., None]
    return even


def _drifts(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """How early each pixel of flat ground is covered, (h, w), evenly from 0 to 1: in stripes along the street."""
    rough = random.random((DRIFTS[0], int(random.integers(*DRIFTS))), dtype=np.float32)
    noise = resize(rough, MAP, MAP, Image.Resampling.BICUBIC)
    ranks = np.empty(noise.size, dtype=np.float32)
    ranks[np.argsort(noise, axis=None)] = np.linspace(0.0, 1.0, noise.size, dtype=np.float32)
    away = ground_depth(height, width)
    focal = FOCAL_SHARE * max(height, width)
    aside = (np.arange(width, dtype=np.float32) - (width - 1) / 2) * away / focal
    column = np.clip((aside / HALF_STREET + 1.0) / 2.0, 0.0, 1.0) * (MAP - 1)
    row = np.clip(np.log(away / CAMERA_HEIGHT) / np.log(STREET_END / CAMERA_HEIGHT), 0.0, 1.0) * (MAP - 1)
    drifts: np.ndarray = ranks.reshape(MAP, MAP)[row.astype(int), column.astype(int)]
    return drifts


def _flakes(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """How much of each pixel falling flakes hide, (h, w) from 0 to 1: many small ones, a few large and blurred."""
    hidden = np.zeros((height, width), dtype=np.float32)
    count = int(np.exp(random.uniform(*np.log(FLAKES))))
    for share, larger in ((0.85, 1.0), (0.15, 2.5)):
        layer = np.zeros_like(hidden)
        number = max(int(share * count / larger**2), 1)
        layer[random.integers(0, height, number), random.integers(0, width, number)] = 1.0
        sigma = max(random.uniform(*FLAKE_SIZE) * min(height, width) * larger, 0.5)
        layer = gaussian_blur(layer, sigma)
        hidden = np.maximum(hidden, np.clip(layer * (2.0 * np.pi * sigma**2) * random.uniform(0.4, 1.0), 0.0, 0.9))
    return hidden
