"""Takes one photograph: renders a place, and applies air and camera to get 8-bit pixels."""

from dataclasses import dataclass

import numpy as np

from daco_training.city.plan import CityPlace, Pose, photograph_pose, stream
from daco_training.city.rendering import rain, weather
from daco_training.city.rendering.scene import Rendering, render, render_depth
from daco_training.city.viewpoint import Viewpoint, viewpoint_pose

SUNSET_TINT = np.array([1.24, 1.0, 0.74])  # of a camera that is balanced for the day
RAIN_VISIBILITY = 150.0, 600.0  # metres: in steady rain


def develop_rendering(rendering: Rendering, domain: str, rng: np.random.Generator) -> np.ndarray:
    """Applies a domain's air and camera to a rendering; returns 8-bit sRGB (h, w, 3)."""
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
    elif domain == "sunset":
        # the camera's balance stays that of daylight, so that the low sun is orange
        image = weather.expose(radiance * balance * SUNSET_TINT, 0.11, rng.normal(0.0, 0.35))
        image = weather.add_glare(image, rng.uniform(0.02, 0.06), height / 60)
        image = weather.add_sensor_noise(image, rng, rng.uniform(2000, 8000), 4.0)
    elif domain == "rainy-night":
        level = rng.uniform(0.6, 1.4) * float((radiance @ weather.LUMINANCE).mean())
        visibility = rng.uniform(*RAIN_VISIBILITY)
        airlight = level * np.array([1.0, 0.93, 0.84])
        radiance = weather.add_fog(radiance, rendering.distance, rendering.coverage, visibility, airlight)
        image = weather.expose(rain.add_rain(radiance, rng) * balance, 0.05, rng.normal(0.0, 0.4))
        image = weather.add_glare(image, rng.uniform(0.08, 0.16), height / 70)  # wet lenses spread more light
        image = weather.add_sensor_noise(
            image, rng, np.exp(rng.uniform(np.log(250), np.log(1500))), rng.uniform(2.0, 5.0)
        )
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


@dataclass(frozen=True)
class PlacePhotograph:
    """One photograph of a city: its place, domain and viewpoint (None for the place's own).

    Picture and depth are pure functions of it and of the size in pixels.
    """

    seed: int
    place: CityPlace
    domain: str
    viewpoint: Viewpoint | None = None

    @property
    def name(self) -> str:
        """The name of its place."""
        return self.place.name

    @property
    def street(self) -> int:
        return self.place.street

    @property
    def pose(self) -> Pose:
        if self.viewpoint is None:
            return photograph_pose(self.seed, self.place, self.domain)
        return viewpoint_pose(self.seed, self.place, self.viewpoint)

    def take(self, width: int, height: int) -> np.ndarray:
        """The picture, 8-bit sRGB (height, width, 3)."""
        sampler = self._stream(f"sampler of {self.domain}")
        rendering = render(self.seed, self.street, self.domain, self.pose, width, height, sampler)
        return develop_rendering(rendering, self.domain, self._stream(f"camera by {self.domain}"))

    def depth(self, width: int, height: int) -> np.ndarray:
        """Metres along the ray of each pixel (height, width); 0 where the pixel shows mostly sky."""
        return render_depth(self.seed, self.street, self.domain, self.pose, width, height)

    def _stream(self, purpose: str) -> np.random.Generator:
        seen_from = f"{purpose} at {self.viewpoint.name}" if self.viewpoint else purpose
        return stream(self.seed, seen_from, self.street, self.place.slot)
