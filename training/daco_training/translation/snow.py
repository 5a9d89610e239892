"""Adds snow to a photograph of a clear day: on the ground, in trees and on edges; grey sky; sometimes falling flakes.

Works in linear radiance. The ground is found from the depth (`depth.depth_of`); other places where snow would lie are
estimated from colour and from edges that are lit from above.
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

ALBEDO = np.array([0.86, 0.89, 0.93], dtype=np.float32)  # of snow: nearly white, slightly blue
GROUND_COVER = 0.35, 1.0  # share of the ground under snow, from a cleared road to full cover
TREE_COVER = 0.2, 0.9
EDGE_COVER = 0.3, 1.0
GREEN = 0.02, 0.10  # excess of green over red and blue from which a pixel counts partly, and fully, as leaves
ON_GROUND = 0.9  # a pixel lies on the ground if its distance is at least this share of the ground's
DRIFTS = 4, 16  # number of alternations of bare and covered ground along the street, and the most across it
MAP = 256  # cells of the ground map in each direction
RELIEF = 0.45  # how much of the original remains visible as light and shadow on the snow
SUN_TAKEN = 0.5  # share of the light's unevenness that a clouded sky removes, in its logarithm
COLOUR_LEFT = 0.4, 0.9
CLOUDS = 0.35, 0.75  # radiance of the sky
MEAN_LIGHT = 0.16, 0.34  # mean luminance for which the camera exposes, so that everything except snow is dark
VISIBILITY = 200.0, 2000.0  # metres, through the air of a winter's day
FALLING = 0.5  # probability that it snows
FLAKES = 40, 900  # number in an image, most of them small
FLAKE_SIZE = 0.002, 0.008  # standard deviation, as a share of the shorter side


class SnowTranslator:
    """Adds snow to a photograph of a clear day. Needs one domain only. Snow cannot be removed.

    Raises:
        DacoError: a domain of the set is named after snow or winter.
    """

    def __init__(self, dataset: DataSet) -> None:
        if snowy := sorted(snowy_domains(dataset)):
            raise UsageError(
                f"Method snow cannot remove snow, and {snowy[0]} of {dataset.name} is named after it: "
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
    # snow partly keeps the relief of what it lies on
    value = luminance(light)
    relief = (value / max(float(value.mean()), 1e-3)) ** RELIEF
    snow = 0.6 * ALBEDO * np.clip(relief, 0.5, 1.4)[..., None]
    covered = light * (1.0 - cover) + snow * cover
    # the sky becomes clouds, and distant objects fade towards them
    clouds = random.uniform(*CLOUDS) * TINT
    visibility = float(np.exp(random.uniform(*np.log(VISIBILITY))))
    scene = add_fog(covered, depth, visibility, clouds)
    exposed = scene * (random.uniform(*MEAN_LIGHT) / max(float(luminance(scene).mean()), 1e-3))
    if random.random() < FALLING:
        flakes = _flakes(image.height, image.width, random)[..., None]
        exposed = exposed * (1.0 - flakes) + 0.8 * flakes
    return to_image(roll_off(exposed))


def _cover(image: Image.Image, value: np.ndarray, depth: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """The share of each pixel that snow covers, (h, w) from 0 to 1; arbitrary in the sky, which clouds replace."""
    shorter = min(image.size)
    ground = depth >= ON_GROUND * ground_depth(image.height, image.width)
    on_ground = gaussian_blur(ground.astype(np.float32), shorter / 60)
    bare = 1.0 - random.uniform(*GROUND_COVER)
    lying = on_ground * np.clip((_drifts(image.height, image.width, random) - bare) / 0.3 + 0.5, 0.0, 1.0)
    pixels = np.asarray(image, dtype=np.float32) / 255.0
    lead = pixels[..., 1] - np.maximum(pixels[..., 0], pixels[..., 2])
    leaves = np.clip((lead - GREEN[0]) / (GREEN[1] - GREEN[0]), 0.0, 1.0)
    in_trees = gaussian_blur(leaves, shorter / 120) * random.uniform(*TREE_COVER)
    # a top edge is lighter above than below: window sills, cars, roofs
    smooth = gaussian_blur(np.sqrt(value), max(shorter / 250, 0.7))
    step = max(round(shorter / 100), 1)
    darker = np.zeros_like(smooth)
    darker[step:] = smooth[:-step] - smooth[step:]
    tops = np.clip((darker - 0.08) / 0.2, 0.0, 1.0) * random.uniform(*EDGE_COVER)
    cover: np.ndarray = np.maximum(lying, np.maximum(in_trees, tops))
    return cover


def _under_clouds(radiance: np.ndarray, image: Image.Image) -> np.ndarray:
    """The light without most of the sun's bright patches and shadows, (h, w, 3)."""
    light = slow_light(luminance(radiance), min(image.size) // 10)
    even: np.ndarray = radiance * np.exp(-SUN_TAKEN * (light - light.mean()))[..., None]
    return even


def _drifts(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """The order in which pixels of flat ground are covered, (h, w), uniform from 0 to 1: stripes along the street."""
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
    """The share of each pixel that falling flakes cover, (h, w) from 0 to 1: many small, a few large and blurred."""
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
