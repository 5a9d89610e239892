"""Takes one photograph: the rendered radiance of a place, through the air and a camera, to 8-bit pixels."""

import numpy as np

from daco_training.city.plan import CityPlace, photograph_pose, stream
from daco_training.city.rendering import weather
from daco_training.city.rendering.scene import Rendering, render

DOMAINS = ("day", "night", "fog")


def develop_rendering(rendering: Rendering, domain: str, rng: np.random.Generator) -> np.ndarray:
    """Give a rendering its domain's air and camera; returns 8-bit sRGB (h, w, 3)."""
    radiance = rendering.radiance
    height = radiance.shape[0]
    balance = np.array([rng.normal(1.0, 0.03), 1.0, rng.normal(1.0, 0.03)])
    if domain == "fog":
        lit = radiance[rendering.coverage > 0.99] @ weather.LUMINANCE
        level = rng.uniform(1.5, 2.6) * (float(lit.mean()) if len(lit) else 1.0)
        airlight = level * np.array([0.97, 0.99, 1.0])
        radiance = weather.add_fog(
            radiance, rendering.distance, rendering.coverage, weather.draw_visibility(rng), airlight
        )
        image = weather.expose(radiance * balance, 0.32, rng.normal(0.0, 0.3))
        image = weather.add_sensor_noise(image, rng, rng.uniform(3000, 9000), 4.0)
    elif domain == "night":
        image = weather.expose(radiance * balance, 0.045, rng.normal(0.0, 0.4))
        image = weather.add_glare(image, rng.uniform(0.04, 0.1), height / 100)
        image = weather.add_sensor_noise(
            image, rng, np.exp(rng.uniform(np.log(250), np.log(1500))), rng.uniform(2.0, 5.0)
        )
    else:
        image = weather.expose(radiance * balance, 0.17, rng.normal(0.0, 0.35))
        image = weather.add_sensor_noise(image, rng, rng.uniform(4000, 12000), 4.0)
    return weather.develop(image)


def take_photograph(seed: int, place: CityPlace, domain: str, width: int, height: int) -> np.ndarray:
    """The photograph of a place in a domain, 8-bit sRGB (height, width, 3): a pure function of its arguments."""
    rendering = render(seed, place, domain, photograph_pose(seed, place, domain), width, height)
    return develop_rendering(rendering, domain, stream(seed, f"camera by {domain}", place.street, place.slot))
