"""The conditions in which the demo city can be rendered."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CityCondition:
    """The properties of a condition, apart from its lights (`lights.py`) and its camera (`photograph.py`).

    Args:
        samples: light paths per pixel; an even number.
        dark: whether street lamps, windows and signs shine.
        wet: whether rain lies on the ground and the cars, and falls before the camera.
        sky_shows: whether the sky is visible; in fog it is not.
    """

    samples: int
    dark: bool = False
    wet: bool = False
    sky_shows: bool = True


CONDITIONS = {
    "day": CityCondition(samples=6),
    "night": CityCondition(samples=8, dark=True),
    "fog": CityCondition(samples=6, sky_shows=False),
    "sunset": CityCondition(samples=8),
    "rainy-night": CityCondition(samples=16, dark=True, wet=True),
}
DOMAINS = tuple(CONDITIONS)
