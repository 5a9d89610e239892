"""Renders one photograph with Mitsuba 3: a street in a domain from a pose, as linear radiance and exact depth."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from daco_training.city.plan import Pose
from daco_training.city.poses import HORIZONTAL_VIEW
from daco_training.city.rendering.conditions import CONDITIONS
from daco_training.city.rendering.denoise import Guides, denoise
from daco_training.city.rendering.lights import street_lights, weigh_windows
from daco_training.city.rendering.shapes import guide_scene, mitsuba, street_shapes

GUIDE_SAMPLES = 4
DEPTH_SAMPLES = 8
BOUNCES = 3


@dataclass(frozen=True)
class Rendering:
    """Linear radiance (h, w, 3), metres along each ray (h, w), and the share of each pixel that is not sky (h, w)."""

    radiance: np.ndarray
    distance: np.ndarray
    coverage: np.ndarray


@lru_cache(maxsize=2)
def _lasting_scene(seed: int, street: int, domain: str) -> Any:
    """The scene of a domain whose lights are the same for every view of a street."""
    nowhere = Pose(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    world = {**street_shapes(seed, street, domain), **street_lights(seed, street, domain, nowhere)}
    return mitsuba().load_dict({"type": "scene", **world})


def _dark_scene(seed: int, street: int, domain: str, pose: Pose) -> Any:
    """The scene of a view at night: only the lamps near it shine."""
    shapes = street_shapes(seed, street, domain)
    weigh_windows(shapes, pose)
    return mitsuba().load_dict({"type": "scene", **shapes, **street_lights(seed, street, domain, pose)})


def render(
    seed: int, street: int, domain: str, pose: Pose, width: int, height: int, sampler: np.random.Generator
) -> Rendering:
    """Renders a street in a domain of `CONDITIONS`, `width` by `height` pixels."""
    condition = CONDITIONS[domain]
    scene = _dark_scene(seed, street, domain, pose) if condition.dark else _lasting_scene(seed, street, domain)
    guide = guide_scene(seed, street, domain)
    sampler_seed = int(sampler.integers(2**31))
    return trace(scene, guide, pose, width, height, condition.samples, sampler_seed, condition.sky_shows)


def trace(
    scene: Any, guide: Any, pose: Pose, width: int, height: int, samples: int, seed: int, sky_shows: bool
) -> Rendering:
    """Renders a Mitsuba scene from a pose with `samples` paths per pixel; `guide` is a scene with the same faces."""
    sensor = _sensor(pose, width, height)
    path = {"type": "path", "max_depth": BOUNCES, "hide_emitters": not sky_shows}
    first, second = (_run(scene, sensor, path, samples // 2, seed + number)[..., :3] for number in range(2))
    aovs = {"type": "aov", "aovs": "albedo:albedo,normal:sh_normal,position:position"}
    shown = _run(guide, sensor, aovs, GUIDE_SAMPLES, seed + 2)
    distance, coverage = _trace_depth(guide, sensor, seed + 3)
    guides = Guides(shown[..., 0:3], shown[..., 3:6], shown[..., 6:9], coverage)
    return Rendering(np.maximum(denoise(first, second, guides), 0.0), distance, coverage)


def render_depth(seed: int, street: int, domain: str, pose: Pose, width: int, height: int) -> np.ndarray:
    """Metres along the ray of each pixel (height, width) in a street; 0 where the pixel shows mostly sky."""
    distance, coverage = _trace_depth(guide_scene(seed, street, domain), _sensor(pose, width, height), seed)
    return np.where(coverage > 0.5, distance, 0.0)


def _trace_depth(guide: Any, sensor: Any, seed: int) -> tuple[np.ndarray, np.ndarray]:
    depth = _run(guide, sensor, {"type": "depth"}, DEPTH_SAMPLES, seed)
    coverage = depth[..., 3]
    return depth[..., 0] / np.maximum(coverage, 1e-6), coverage


def _run(what: Any, sensor: Any, integrator: dict[str, Any], count: int, seed: int) -> np.ndarray:
    mi = mitsuba()
    return np.array(mi.render(what, sensor=sensor, integrator=mi.load_dict(integrator), spp=count, seed=seed))


def _sensor(pose: Pose, width: int, height: int) -> Any:
    mi = mitsuba()
    turn = pose.rotation()
    origin = np.array([pose.x, pose.y, pose.z])
    return mi.load_dict(
        {
            "type": "perspective",
            "fov": HORIZONTAL_VIEW,
            "fov_axis": "x",
            "near_clip": 0.001,  # depth is measured from this plane, so it must be almost 0
            "far_clip": 2000.0,
            "to_world": mi.ScalarTransform4f().look_at(
                origin.tolist(), (origin + turn[:, 2]).tolist(), turn[:, 1].tolist()
            ),
            "film": {
                "type": "hdrfilm",
                "width": width,
                "height": height,
                "pixel_format": "rgba",
                "rfilter": {"type": "box"},
            },
            "sampler": {"type": "independent"},
        }
    )
