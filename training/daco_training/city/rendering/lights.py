"""The lights of a street: sun and sky by day and at sunset, an overcast sky in fog, lamps and windows at night."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from daco_training.city.plan import Pose, plan_street, stream
from daco_training.city.rendering.shapes import GLASS, mitsuba
from daco_training.city.streets.street import build_street

LAMP_INTENSITY = 300.0  # radiance times square metres
LAMP_REACH = 48.0  # metres: a lamp farther than this from the camera lights nothing
LOOK_AHEAD = 9.0  # metres from the camera to what it looks at
NEAR = 12.0  # metres: how fast a light's chance to be sampled falls with its distance from the view
NIGHT_SKY = [0.011, 0.010, 0.013]  # radiance
RAIN_SKY = [0.030, 0.026, 0.022]  # low clouds, lit from the town below


@dataclass(frozen=True)
class Sun:
    """Ranges of the sun's direction (in degrees), of the haze of the air, and of the share of light through clouds."""

    elevation: tuple[float, float]
    azimuth: tuple[float, float]
    turbidity: tuple[float, float]
    scale: tuple[float, float]


SUN = {
    "day": Sun((22.0, 58.0), (95.0, 265.0), (2.2, 6.0), (0.25, 1.0)),
    "sunset": Sun((4.0, 14.0), (235.0, 305.0), (3.0, 7.0), (0.6, 1.5)),
}


def _chance(light: np.ndarray, pose: Pose) -> float:
    """The sampling weight of a light at street x, y, z: it falls with the square of its distance from the view."""
    view = np.array([pose.x, pose.y, pose.z]) + LOOK_AHEAD * pose.rotation()[:, 2]
    return float(1.0 / (0.5 + (np.linalg.norm(light - view) / NEAR) ** 2))


def weigh_windows(shapes: dict[str, Any], pose: Pose) -> None:
    """Sets the sampling weights of the lit windows among `shapes` for this view."""
    for name, shape in shapes.items():
        if name.startswith(GLASS) and shape.is_emitter():
            box = shape.bbox()
            values = mitsuba().traverse(shape)
            values["emitter.sampling_weight"] = 0.4 * _chance(np.array(box.center()), pose)
            values.update()


def street_lights(seed: int, street: int, domain: str, pose: Pose) -> dict[str, Any]:
    """Mitsuba's definitions, by name, of those lights of a street in a domain that matter to a view.

    By day the sun stands between east and west through south, 22 to 58 degrees high; at sunset about west, 4 to 14
    degrees high, in hazier air. In fog the sky is the CIE's overcast one, three times as bright at the zenith as at the
    horizon (Moon and Spencer 1942).
    """
    mi = mitsuba()
    rng = stream(seed, f"light by {domain}", street)
    if domain in SUN:
        sun = SUN[domain]
        elevation, azimuth = math.radians(rng.uniform(*sun.elevation)), rng.uniform(*sun.azimuth)
        around = math.radians(plan_street(seed, street).bearing - azimuth)
        flat = math.cos(elevation)
        direction = [flat * math.cos(around), flat * math.sin(around), math.sin(elevation)]
        return {
            "sky": {
                "type": "sunsky",
                "sun_direction": direction,
                "turbidity": float(rng.uniform(*sun.turbidity)),
                "albedo": 0.2,
                "sun_scale": float(rng.uniform(*sun.scale)),
            }
        }
    if domain == "fog":
        height = np.cos(np.linspace(0, np.pi, 16))[:, None, None]
        overcast = np.clip((1.0 + 2.0 * height) / 3.0, 0.12, 1.0) * np.array([0.92, 0.97, 1.0])
        image = mi.Bitmap(np.ascontiguousarray(np.broadcast_to(overcast, (16, 32, 3)), dtype=np.float32))
        upright = mi.ScalarTransform4f().rotate([1, 0, 0], 90)
        return {"sky": {"type": "envmap", "bitmap": image, "to_world": upright}}
    lights: dict[str, Any] = {}
    strength = LAMP_INTENSITY * rng.uniform(0.7, 1.3)
    for number, lamp in enumerate(build_street(seed, street).lamps):
        x, y, z = lamp.position
        away = math.hypot(x - pose.x, y - pose.y)
        if away > LAMP_REACH:
            continue
        lights[f"lamp_{number}"] = {
            "type": "spot",
            "to_world": mi.ScalarTransform4f().look_at([x, y, z], [x, y * 0.93, z - 1.0], [1, 0, 0]),
            "intensity": {"type": "rgb", "value": [strength * part for part in lamp.tint]},
            "cutoff_angle": 84.0,
            "beam_width": 55.0,
            "sampling_weight": _chance(np.array(lamp.position), pose),
        }
    glow = RAIN_SKY if domain == "rainy-night" else NIGHT_SKY
    return {**lights, "sky": {"type": "constant", "radiance": {"type": "rgb", "value": glow}, "sampling_weight": 0.4}}
