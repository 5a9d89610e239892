"""Photographs for benchmarks of servers: JPEGs of 1 to 12 megapixels, synthetic or chosen from a folder."""

from itertools import cycle, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from daco_core.errors import DacoError
from daco_core.photographs.images import list_images_below

# width and height: phones and cameras, wide and tall, 1 to 12 megapixels
SIZES = ((1280, 800), (1600, 1200), (1200, 1600), (2048, 1536), (2592, 1944), (1944, 2592), (3264, 2448), (4000, 3000))
SMALL = 4  # the scene is drawn this many times smaller, and then enlarged
SHAPES = 400
QUALITY = 92
GRAIN = 3.0  # standard deviation of the sensor's noise, of 255; it determines the size of the JPEG file


def make_photographs(folder: Path, count: int = 16) -> list[Path]:
    """Writes JPEGs with the sizes above into a folder; the same ones for the same count.

    Each is a dead-leaves image (Lee, Mumford, Huang, "Occlusion Models for Natural Images", IJCV 2001): overlapping
    opaque shapes of random colour whose sizes follow a power law, which gives the spectrum and the edges of natural
    images; with shading of a 1/f spectrum, and grain.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for number, (width, height) in enumerate(islice(cycle(SIZES), count)):
        files.append(folder / f"{number:03d}.jpg")
        if not files[-1].exists():
            random = np.random.default_rng(number)
            scene = _scene(random, width // SMALL, height // SMALL).resize((width, height), Image.Resampling.BICUBIC)
            grain = random.normal(0, GRAIN, (height, width, 1)).astype(np.float32)
            Image.fromarray((np.asarray(scene) + grain).clip(0, 255).astype(np.uint8)).save(files[-1], quality=QUALITY)
    return files


def choose_photographs(folder: Path, count: int = 64) -> list[Path]:
    """At most `count` of the JPEGs in a folder, evenly spread.

    Raises:
        DacoError: there are none.
    """
    files = [path for path in list_images_below(folder) if path.suffix.lower() in (".jpg", ".jpeg")]
    if not files:
        raise DacoError(f"There are no JPEGs in {folder}.")
    count = min(count, len(files))
    return [files[number * len(files) // count] for number in range(count)]


def _scene(random: np.random.Generator, width: int, height: int) -> Image.Image:
    canvas = np.full((height, width, 3), random.uniform(80, 180, 3), dtype=np.float32)
    rows, columns = np.ogrid[:height, :width]
    for _ in range(SHAPES):
        radius = 4 / np.sqrt(random.uniform(0.0004, 1))  # a density of r^-3, from 4 to 200 pixels
        x, y = random.uniform(0, width), random.uniform(0, height)
        if random.random() < 0.5:
            inside = (abs(columns - x) < radius * random.uniform(0.3, 1)) & (abs(rows - y) < radius)
        else:
            inside = (columns - x) ** 2 + (rows - y) ** 2 < radius**2
        canvas[inside] = random.uniform(0, 255, 3)
    return Image.fromarray((canvas * _shading(random, width, height)).clip(0, 255).astype(np.uint8))


def _shading(random: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Shading around 1, (height, width, 1), with an amplitude inversely proportional to the frequency."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf
    spectrum = np.exp(2j * np.pi * random.random(frequency.shape)) / frequency
    noise = np.fft.irfft2(spectrum, (height, width))
    shading: NDArray[np.float32] = (1 + 0.25 * noise / noise.std())[..., None].astype(np.float32)
    return shading
