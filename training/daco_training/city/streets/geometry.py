"""Collects coloured and textured triangles by material, and defines the frames in which they are built."""

from dataclasses import dataclass, field

import numpy as np

Colour = tuple[float, float, float]
Point = tuple[float, float, float]
BLANK_UV = np.zeros(2)


@dataclass(frozen=True)
class StreetFrame:
    """A vertical plane to build on: u to the right as seen from the front, d behind it, z up; all in metres."""

    origin: tuple[float, float]
    right: tuple[float, float]

    def world(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) given as (u, d, z) in the street's x, y, z."""
        right = np.array([*self.right, 0.0])
        behind = np.array([-self.right[1], self.right[0], 0.0])
        u, d, z = points[..., 0:1], points[..., 1:2], points[..., 2:3]
        return np.asarray(np.array([*self.origin, 0.0]) + u * right + d * behind + z * np.array([0.0, 0.0, 1.0]))


@dataclass(frozen=True)
class Part:
    """All faces of one material: vertices (n, 3), faces (m, 3), uv (n, 2), linear colours (n, 3)."""

    vertices: np.ndarray
    faces: np.ndarray
    uv: np.ndarray
    colours: np.ndarray


@dataclass
class Soup:
    """Faces, collected by the names of their materials."""

    pieces: dict[str, list[Part]] = field(default_factory=dict)

    def add(
        self,
        material: str,
        vertices: np.ndarray,
        faces: np.ndarray,
        uv: np.ndarray | None = None,
        colour: Colour | np.ndarray = (0.5, 0.5, 0.5),
    ) -> None:
        """Adds faces (m, 3) over vertices (n, 3); `colour` is one linear RGB, or one for each vertex."""
        count = len(vertices)
        colours = np.broadcast_to(np.asarray(colour, float), (count, 3))
        texture = np.broadcast_to(BLANK_UV if uv is None else uv, (count, 2))
        self.pieces.setdefault(material, []).append(Part(vertices, faces, texture, colours))

    def quads(
        self,
        material: str,
        corners: np.ndarray,
        uv: np.ndarray | None = None,
        colour: Colour | np.ndarray = (0.5, 0.5, 0.5),
    ) -> None:
        """Adds quads (n, 4, 3), counter-clockwise as seen from the front; `colour` is one RGB or (n, 3)."""
        count = len(corners)
        first = 4 * np.arange(count)[:, None]
        faces = np.concatenate([first + [0, 1, 2], first + [0, 2, 3]])
        shades = np.repeat(np.broadcast_to(np.asarray(colour, float), (count, 3)), 4, axis=0)
        self.add(material, corners.reshape(-1, 3), faces, None if uv is None else uv.reshape(-1, 2), shades)

    def box(self, material: str, frame: StreetFrame, low: Point, high: Point, colour: Colour) -> None:
        """Adds a box between two corners given as (u, d, z)."""
        (a, b, c), (p, q, r) = low, high
        corners = np.array(
            [
                [[a, b, c], [p, b, c], [p, b, r], [a, b, r]],
                [[p, q, c], [a, q, c], [a, q, r], [p, q, r]],
                [[a, q, c], [a, b, c], [a, b, r], [a, q, r]],
                [[p, b, c], [p, q, c], [p, q, r], [p, b, r]],
                [[a, b, r], [p, b, r], [p, q, r], [a, q, r]],
                [[a, q, c], [p, q, c], [p, b, c], [a, b, c]],
            ]
        )
        self.quads(material, frame.world(corners), colour=colour)

    def tube(
        self, material: str, start: np.ndarray, end: np.ndarray, radii: tuple[float, float], colour: Colour, sides: int
    ) -> None:
        """Adds a closed tube from `start` to `end` (street x, y, z), with a radius for each end."""
        axis = (end - start) / np.linalg.norm(end - start)
        across = np.cross(axis, [1.0, 0.0, 0.0] if abs(axis[0]) < 0.9 else [0.0, 1.0, 0.0])
        across /= np.linalg.norm(across)
        angle = 2 * np.pi * np.arange(sides) / sides
        ring = np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * np.cross(axis, across)
        vertices = np.concatenate([start + radii[0] * ring, end + radii[1] * ring, start[None], end[None]])
        i, j = np.arange(sides), (np.arange(sides) + 1) % sides
        faces = np.concatenate(
            [
                np.stack([i, j, j + sides], 1),
                np.stack([i, j + sides, i + sides], 1),
                np.stack([j, i, np.full(sides, 2 * sides)], 1),
                np.stack([i + sides, j + sides, np.full(sides, 2 * sides + 1)], 1),
            ]
        )
        self.add(material, vertices, faces, colour=colour)

    def parts(self) -> dict[str, Part]:
        """One part for each material, with all its faces joined."""
        joined = {}
        for material, pieces in self.pieces.items():
            starts = np.cumsum([0] + [len(piece.vertices) for piece in pieces[:-1]])
            joined[material] = Part(
                np.concatenate([piece.vertices for piece in pieces]),
                np.concatenate([piece.faces + start for piece, start in zip(pieces, starts, strict=True)]),
                np.concatenate([piece.uv for piece in pieces]),
                np.concatenate([piece.colours for piece in pieces]),
            )
        return joined


def linear(red: int, green: int, blue: int) -> Colour:
    """An 8-bit sRGB colour as linear RGB (IEC 61966-2-1)."""
    value = np.array([red, green, blue]) / 255.0
    line = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return float(line[0]), float(line[1]), float(line[2])
