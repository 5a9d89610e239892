"""Translates day to night and night to day, by simulating light, lamps, lens and sensor in linear radiance.

Day to night, like "day for night" in film: the exposure is reduced, the sky darkened, and the rest is lit in the
colours of street lamps. Windows and bright objects emit light, which spreads over the street and in the lens; finally
the sensor's noise is added. Night to day: noise is removed, lamps are dimmed, exposure and local tone raised, colours
balanced to grey, and the sky brightened.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_training.translation.directions import domain_of, night_domains
from daco_training.translation.scene.filters import gaussian_blur, guided_filter
from daco_training.translation.scene.lamps import shine
from daco_training.translation.scene.light import (
    add_glow,
    add_sensor_noise,
    luminance,
    roll_off,
    slow_light,
    to_image,
    to_linear,
)
from daco_training.translation.scene.sky import find_sky

# the colour of a white wall in street light: sodium, warm LED, cold LED, and a clouded sky above a city
AMBIENCES = np.array([[1.35, 0.95, 0.5], [1.15, 1.0, 0.75], [0.95, 1.0, 1.05], [1.05, 1.0, 0.95]], dtype=np.float32)
STREET_LEVEL = 0.007, 0.03  # median luminance without the sky; photographs from cars at night have about 0.006
SKY_LEVEL = 0.001, 0.008  # luminance of the night sky above a town
SKY_REST = 0.01  # share of the day's clouds that remains
UPWARD_FALL = 0.3  # share of the height over which street light fades above the middle of the image
UPWARD_LEAST = 0.25
LAMP_REACH = 0.12  # reach of a lamp's light in the street, as a share of the shorter side
FULL_WELL = 500.0, 3000.0  # electrons at full scale, as at a high ISO
READ_NOISE = 1.5, 4.0
GLARE = 0.08, 0.2  # share of the light that the lens spreads

DAY_LEVEL = 0.16  # log-average luminance of a day photograph (Reinhard et al. 2002 use a key of 0.18)
LOCAL_TONE = 0.65  # the share of the light's unevenness that is removed, in its logarithm
MOST_GAIN = 40.0
COLOURLESS = 0.04  # square root of the radiance at which colour is reduced to half: 5 of 255
DAY_SKY = np.array([0.50, 0.58, 0.68], dtype=np.float32)


class NightTranslator:
    """Turns a photograph into night, or one of a night domain into day. Needs one domain only.

    Night domains are recognised by name, or by brightness if there are no names (`directions.night_domains`).
    """

    def __init__(self, dataset: DataSet) -> None:
        self.settings: dict[str, object] = {}
        self.dataset = dataset
        self._night = night_domains(dataset)

    def translate(self, photograph: Path, target: str, random: np.random.Generator) -> Image.Image:
        image = open_rgb(photograph)
        if domain_of(self.dataset, photograph) in self._night:
            return to_day(image, random)
        return to_night(image, random)


def to_night(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """A day photograph as if taken by night, of the same size."""
    radiance = to_linear(image)
    shorter = min(image.size)
    sky = find_sky(image, night=False)[..., None]
    # exposure and ambient light: first grey-world balance, to remove the colour of daylight
    ground = np.average(radiance, axis=(0, 1), weights=1.0 - 0.999 * sky[..., 0])
    balanced = radiance * (ground.mean() / np.maximum(ground, 1e-3)) ** 0.5
    weights = random.dirichlet(np.full(len(AMBIENCES), 0.7)).astype(np.float32)
    ambience = weights @ AMBIENCES
    level = float(np.exp(random.uniform(*np.log(STREET_LEVEL))))
    lit = luminance(balanced)[sky[..., 0] < 0.5]
    gain = level / max(float(np.median(lit)) if lit.size else 0.1, 1e-3)
    night_sky = float(np.exp(random.uniform(*np.log(SKY_LEVEL)))) * ambience**0.5 + SKY_REST * level * radiance
    # lamps light their surroundings in proportion to the area of their light
    emission = shine(image, sky[..., 0], random)
    pool = gaussian_blur(emission, LAMP_REACH * shorter)
    above = np.maximum(0.5 - np.arange(image.height, dtype=np.float32) / image.height, 0.0)[:, None, None]
    falloff = UPWARD_LEAST + (1.0 - UPWARD_LEAST) * np.exp(-above / UPWARD_FALL)
    street = balanced * (gain * falloff * ambience + 4.0 * pool)
    night = street * (1.0 - sky) + night_sky * sky + emission
    night = add_glow(night, random.uniform(*GLARE), max(shorter / 100, 1.0))
    full_well = float(np.exp(random.uniform(*np.log(FULL_WELL))))
    night = add_sensor_noise(night, full_well, random.uniform(*READ_NOISE), random)
    return to_image(roll_off(night))


def to_day(image: Image.Image, random: np.random.Generator) -> Image.Image:
    """A night photograph as if taken by day, of the same size."""
    radiance = denoise(to_linear(image))
    shorter = min(image.size)
    sky = find_sky(image, night=True)
    value = luminance(radiance)
    # local tone: slow changes of light are divided out for the most part
    light = slow_light(value, shorter // 8)
    ground = 1.0 - 0.999 * sky
    mean_light = float(np.average(light, weights=ground))
    gain = np.exp(-LOCAL_TONE * (light - mean_light))
    toned = radiance * gain[..., None]
    # white balance: grey world over everything except sky and lamps
    weights = ground * (value < 0.4)
    mean = np.average(toned, axis=(0, 1), weights=weights + 1e-6)
    balanced = toned * np.clip(mean.mean() / np.maximum(mean, 1e-4), 0.5, 2.0)
    average = float(np.exp(np.average(np.log(luminance(balanced) + 1e-3), weights=ground)))
    exposed = balanced * min(DAY_LEVEL * 2.0 ** random.normal(0.0, 0.3) / average, MOST_GAIN)
    # added instead of replaced, and less towards the middle, so that wrongly detected sky stays visible
    down = np.arange(image.height, dtype=np.float32)[:, None] / image.height
    day_sky = DAY_SKY * random.uniform(0.6, 1.3) * (sky * np.clip(1.0 - down / 0.6, 0.0, 1.0))[..., None]
    return to_image(roll_off(exposed + day_sky))


def denoise(radiance: np.ndarray) -> np.ndarray:
    """Reduces the sensor noise of night photographs: luminance by a guided filter of itself, colour by a wider one.

    Works on square roots, in which shot noise is uniform (Anscombe 1948). `radiance` is (h, w, 3) linear.
    """
    roots = np.sqrt(radiance)
    grey = roots.mean(axis=2)
    smooth = guided_filter(grey, grey, 2, 4e-4)
    colour = [guided_filter(smooth, roots[..., channel] - grey, 6, 1e-3) for channel in range(3)]
    # the colour of the darkest pixels is only noise and compression artefacts
    trust = smooth / (smooth + COLOURLESS)
    clean: np.ndarray = np.maximum(smooth[..., None] + trust[..., None] * np.stack(colour, axis=2), 0.0) ** 2
    return clean
