"""Turns a street's faces and textures into Mitsuba shapes, as they are in each condition."""

import importlib
from functools import lru_cache
from typing import Any

import numpy as np

from daco_training.city.plan import STREET_LENGTH, stream
from daco_training.city.rendering.conditions import CONDITIONS
from daco_training.city.streets.geometry import Part, Soup
from daco_training.city.streets.ground import wet_roughness
from daco_training.city.streets.street import build_street, light_windows, park_cars

GLOW_CHUNK = 12.0  # metres
GLASS = "glass_"
LAMP_RADIANCE, SIGN_RADIANCE = 6.0, 2.5  # of lamp heads and blade signs at night
WATER_SPECULAR = 0.5  # of Mitsuba's principled material: 0.25 is an index of refraction of 1.33
WET_POWER = 1.35  # of 8-bit sRGB: a wet ground reflects about half as much diffuse light (Lekner and Dorf 1988)


@lru_cache(maxsize=1)
def mitsuba() -> Any:
    """The Mitsuba module, in the variant that runs on every machine, with one thread.

    Raises:
        ImportError: Mitsuba is not installed.
    """
    module = importlib.import_module("mitsuba")
    module.set_variant("scalar_rgb")
    importlib.import_module("drjit").set_thread_count(1)
    return module


def _two_sided(inner: dict[str, Any]) -> dict[str, Any]:
    return {"type": "twosided", "inner": inner}


def _material(name: str, street: dict[str, Any], wet: bool = False) -> dict[str, Any]:
    """Mitsuba's definition of a material. A wet one is darker, because water leads light into it, and reflects."""
    colour = {"type": "mesh_attribute", "name": "vertex_color"}
    if name == "facade":
        return _two_sided({"type": "diffuse", "reflectance": street["facades"]})
    if name == "ground" and wet:
        return _two_sided(
            {
                "type": "principled",
                "base_color": street["wet_ground"],
                "roughness": street["puddles"],
                "specular": WATER_SPECULAR,
            }
        )
    if name == "ground":
        return _two_sided({"type": "diffuse", "reflectance": street["ground"]})
    if name == "glass":
        return {"type": "plastic", "diffuse_reflectance": street["facades"], "int_ior": 1.5}
    if name == "gloss":
        return _two_sided(
            {"type": "principled", "base_color": colour, "roughness": 0.2, "specular": 0.5, "clearcoat": 1.0}
        )
    return _two_sided({"type": "diffuse", "reflectance": colour})


def make_mesh(name: str, part: Part, bsdf: dict[str, Any], emitter: dict[str, Any] | None = None) -> Any:
    """A part as a Mitsuba shape with a material and, if it emits light, an emitter, both as Mitsuba's definitions."""
    mi = mitsuba()
    properties = mi.Properties()
    properties["bsdf"] = mi.load_dict(bsdf)
    if emitter:
        properties["emitter"] = mi.load_dict(emitter)
    mesh = mi.Mesh(name, len(part.vertices), len(part.faces), has_vertex_texcoords=True, props=properties)
    values = mi.traverse(mesh)
    values["vertex_positions"] = part.vertices.reshape(-1).astype(np.float32)
    values["vertex_texcoords"] = part.uv.reshape(-1).astype(np.float32)
    values["faces"] = part.faces.reshape(-1).astype(np.uint32)
    values.update()
    mesh.add_attribute("vertex_color", 3, part.colours.reshape(-1).astype(np.float32))
    return mesh


def _lit_glass(part: Part, glow: np.ndarray, facades: np.ndarray) -> dict[str, Any]:
    """The lit windows of a street, in shapes of GLOW_CHUNK metres, so that lights near a view can be sampled more.

    Each shape has a piece of the glow texture (height, width, 3), black where another shape's windows are, and a piece
    of the facade texture, which is twice as large.
    """
    mi = mitsuba()
    tall, wide, _ = glow.shape
    corners = part.uv.reshape(-1, 4, 2)
    middle = corners.mean(1)
    chunk = (middle[:, 0] * STREET_LENGTH // GLOW_CHUNK).astype(int) + 1000 * (middle[:, 1] * 3).astype(int)
    shapes = {}
    for number in np.unique(chunk):
        panes = np.flatnonzero(chunk == number)
        spans = np.round(np.stack([corners[panes].min(1), corners[panes].max(1)], 1) * [wide, tall]).astype(int)
        (left, top), (right, bottom) = spans[:, 0].min(0), spans[:, 1].max(0)
        piece = np.zeros((bottom - top, right - left, 3), np.float32)
        for (x0, y0), (x1, y1) in spans:
            piece[y0 - top : y1 - top, x0 - left : x1 - left] = glow[y0:y1, x0:x1]
        vertices = (4 * panes[:, None] + np.arange(4)).reshape(-1)
        first = 4 * np.arange(len(panes))[:, None]
        faces = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]])
        local = (part.uv[vertices] * [wide, tall] - [left, top]) / [right - left, bottom - top]
        own = Part(part.vertices[vertices], faces, local, part.colours[vertices])
        emitter: dict[str, Any] | None = None
        if piece.max() > 0:
            radiance = {"type": "bitmap", "bitmap": mi.Bitmap(piece), "raw": True}
            emitter = {"type": "area", "radiance": radiance, "sampling_weight": 1.0}
        day = np.ascontiguousarray(facades[2 * top : 2 * bottom, 2 * left : 2 * right])
        bsdf = _material("glass", {"facades": {"type": "bitmap", "bitmap": mi.Bitmap(day), "raw": False}})
        shapes[f"{GLASS}{number}"] = make_mesh(f"{GLASS}{number}", own, bsdf, emitter)
    return shapes


@lru_cache(maxsize=2)
def _textures(seed: int, street: int) -> dict[str, Any]:
    mi = mitsuba()
    model = build_street(seed, street)
    return {
        "facades": mi.load_dict({"type": "bitmap", "bitmap": mi.Bitmap(model.facades), "raw": False}),
        "ground": mi.load_dict({"type": "bitmap", "bitmap": mi.Bitmap(model.ground), "raw": False}),
    }


@lru_cache(maxsize=2)
def _wet_textures(seed: int, street: int) -> dict[str, Any]:
    """Textures of the ground in rain: the darkened colour, and the roughness of the water (smooth in puddles)."""
    mi = mitsuba()
    ground = build_street(seed, street).ground
    rough = wet_roughness(stream(seed, "puddles", street), ground.shape[:2]).astype(np.float32)
    dark = np.asarray(((ground / 255.0) ** WET_POWER) * 255.0, np.uint8)
    return {
        "wet_ground": mi.load_dict({"type": "bitmap", "bitmap": mi.Bitmap(dark), "raw": False}),
        "puddles": mi.load_dict({"type": "bitmap", "bitmap": mi.Bitmap(rough[..., None]), "raw": True}),
    }


@lru_cache(maxsize=2)
def street_shapes(seed: int, street: int, domain: str) -> dict[str, Any]:
    """The street's shapes in a domain; they are shared by all photographs that a worker renders in that street."""
    model = build_street(seed, street)
    condition = CONDITIONS[domain]
    textures = _textures(seed, street) | (_wet_textures(seed, street) if condition.wet else {})
    shapes = {}
    for name, part in model.parts.items():
        emitter: dict[str, Any] | None = None
        bsdf = _material(name, textures, condition.wet)
        if condition.dark and name == "glass":
            shapes.update(_lit_glass(part, light_windows(seed, street, domain, model), model.facades))
            continue
        if condition.dark and name in ("lamp", "sign"):
            strength = LAMP_RADIANCE if name == "lamp" else SIGN_RADIANCE
            part = Part(part.vertices, part.faces, part.uv, part.colours * strength)
            radiance = {"type": "mesh_attribute", "name": "vertex_color"}
            emitter = {"type": "area", "radiance": radiance, "sampling_weight": 0.0}
            bsdf = {"type": "diffuse", "reflectance": {"type": "rgb", "value": 0.4}}
        shapes[name] = make_mesh(name, part, bsdf, emitter)
    for name, part in park_cars(seed, street, domain, model).items():
        shapes[f"car_{name}"] = make_mesh(f"car_{name}", part, _material(name, textures))
    return shapes


@lru_cache(maxsize=2)
def guide_scene(seed: int, street: int, domain: str) -> Any:
    """The same faces, matte and unlit, in as few shapes as possible: a scene for querying what each pixel shows.

    The time of Mitsuba's integrator for such queries is proportional to the number of shapes.
    """
    model = build_street(seed, street)
    soup = Soup()
    for parts in (model.parts, park_cars(seed, street, domain, model)):
        for name, part in parts.items():
            merged = {"ground": "ground", "facade": "facade", "glass": "facade"}.get(name, "paint")
            soup.pieces.setdefault(merged, []).append(part)
    textures = _textures(seed, street)
    meshes = {name: make_mesh(name, part, _material(name, textures)) for name, part in soup.parts().items()}
    return mitsuba().load_dict({"type": "scene", **meshes})
