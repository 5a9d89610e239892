"""Paints the textures of a facade: its look by day, and the light that it emits at night."""

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from daco_training.city.streets.buildings import Building, Opening, Shade

TEXELS = 20  # texture pixels per metre
GLOW_SCALE = 9.0  # radiance of a glow texture's white; a lamp's pool of light on the road has about 1

WARM: tuple[Shade, ...] = ((255, 196, 120), (255, 178, 92), (255, 214, 160), (255, 160, 80), (250, 226, 190))
COOL: tuple[Shade, ...] = ((210, 228, 255), (236, 240, 250), (150, 180, 255))


def soft_noise(rng: np.random.Generator, shape: tuple[int, int], cell: float) -> np.ndarray:
    """Smooth noise (height, width) with zero mean and about unit deviation, with blobs about `cell` pixels wide."""
    small = rng.standard_normal((max(2, int(shape[0] / cell) + 2), max(2, int(shape[1] / cell) + 2)))
    image = Image.fromarray(small.astype(np.float32)).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.array(image)


@lru_cache(maxsize=64)
def _font(pixels: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(pixels)


def _blocks(rng: np.random.Generator, shape: tuple[int, int], tall: int, wide: int, spread: float) -> np.ndarray:
    """A bond of blocks: a brightness factor (height, width) for each block; every other course is shifted by half."""
    rows, columns = shape[0] // tall + 1, shape[1] // wide + 2
    value = 1.0 + spread * rng.standard_normal((rows, columns))
    y, x = np.mgrid[: shape[0], : shape[1]]
    row = y // tall
    return np.asarray(value[row, (x + (row % 2) * (wide // 2)) // wide])


def _joints(shape: tuple[int, int], tall: int, wide: int) -> np.ndarray:
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.asarray((y % tall == 0) | ((x + ((y // tall) % 2) * (wide // 2)) % wide == 0))


def _wall(rng: np.random.Generator, building: Building, shape: tuple[int, int]) -> np.ndarray:
    """The bare wall (height, width, 3) in 0..255: its colour, its bond and its dirt."""
    factor = 1.0 + 0.035 * soft_noise(rng, shape, 40) + 0.03 * soft_noise(rng, shape, 6)
    factor = factor + 0.02 * rng.standard_normal(shape)
    if building.wall == "brick":
        factor = factor * _blocks(rng, shape, 2, 5, 0.1)
    elif building.wall == "stone":
        tall, wide = int(rng.integers(6, 11)), int(rng.integers(12, 22))
        factor = factor * _blocks(rng, shape, tall, wide, 0.06) * (1.0 - 0.22 * _joints(shape, tall, wide))
    elif building.wall == "panels":
        tall, wide = int(rng.integers(16, 34)), int(rng.integers(18, 50))
        y, x = np.mgrid[: shape[0], : shape[1]]
        factor = factor * (1.0 - 0.35 * ((y % tall == 0) | (x % wide == 0)))
    streaks = soft_noise(rng, (1, shape[1]), 9)
    damp = np.linspace(0.0, 1.0, shape[0])[:, None] ** 6
    factor = factor * (1.0 - 0.05 * np.clip(streaks, 0, 2)) * (1.0 - 0.25 * damp)
    return np.asarray(np.clip(factor[..., None] * np.array(building.wall_shade, float), 4, 250))


class _Canvas:
    """Draws on an image whose unit is the metre and whose origin is the facade's lower left corner."""

    def __init__(self, image: Image.Image, height: float) -> None:
        self.draw = ImageDraw.Draw(image)
        self.height = height

    def box(self, left: float, right: float, bottom: float, top: float) -> tuple[int, int, int, int]:
        return (
            round(left * TEXELS),
            round((self.height - top) * TEXELS),
            max(round(left * TEXELS), round(right * TEXELS) - 1),
            max(round((self.height - top) * TEXELS), round((self.height - bottom) * TEXELS) - 1),
        )

    def fill(self, left: float, right: float, bottom: float, top: float, shade: Shade) -> None:
        self.draw.rectangle(self.box(left, right, bottom, top), fill=shade)

    def text(self, left: float, right: float, bottom: float, top: float, words: str, shade: Shade) -> None:
        x0, y0, x1, y1 = self.box(left, right, bottom, top)
        size = max(6, round((y1 - y0) * 0.85))
        share = 0.94 if x1 - x0 < 5 * TEXELS else 0.46
        while size > 6 and self.draw.textlength(words, font=_font(size)) > share * (x1 - x0):
            size -= 1
        for middle in (0.5,) if x1 - x0 < 5 * TEXELS else (0.25, 0.75):
            self.draw.text((x0 + middle * (x1 - x0), (y0 + y1) / 2), words, fill=shade, font=_font(size), anchor="mm")


def _times(shade: Shade, factor: float) -> Shade:
    red, green, blue = (int(min(255, max(0, part * factor))) for part in shade)
    return red, green, blue


def _grid(opening: Opening, panes: tuple[int, int], bar: float) -> list[tuple[float, float, float, float]]:
    """The panes between an opening's bars: left, right, bottom, top of each in metres."""
    columns, rows = panes
    wide, tall = (opening.right - opening.left - bar) / columns, (opening.top - opening.bottom - bar) / rows
    return [
        (
            opening.left + bar + i * wide,
            opening.left + (i + 1) * wide,
            opening.bottom + bar + j * tall,
            opening.bottom + (j + 1) * tall,
        )
        for i in range(columns)
        for j in range(rows)
    ]


def _paint_opening(canvas: _Canvas, rng: np.random.Generator, building: Building, opening: Opening) -> None:
    left, right, bottom, top = opening.left, opening.right, opening.bottom, opening.top
    if opening.kind == "door":
        canvas.fill(left, right, bottom, top, building.door_shade)
        for a, b, c, d in _grid(Opening("door", left, right, bottom, top - 0.4), (2, 3), 0.12):
            canvas.fill(a, b, c, d, _times(building.door_shade, 0.78))
        canvas.fill(left + 0.08, right - 0.08, top - 0.38, top - 0.06, (44, 50, 56))
        return
    if opening.kind == "garage":
        for n in range(10):
            low = bottom + (top - bottom) * n / 10
            canvas.fill(left, right, low, low + (top - bottom) / 10, _times(building.door_shade, 0.85 + 0.25 * (n % 2)))
        return
    canvas.fill(left, right, bottom, top, building.frame_shade)
    dark = int(rng.integers(18, 52))
    if opening.kind == "shop":
        canvas.fill(left + 0.06, right - 0.06, bottom + 0.06, top - 0.06, (dark, dark + 3, dark + 6))
        for _ in range(int(rng.integers(4, 12))):
            wide, tall = rng.uniform(0.1, 0.5), rng.uniform(0.1, 0.7)
            spot = rng.uniform(left + 0.1, max(left + 0.11, right - wide - 0.1))
            shelf = bottom + 0.1 + rng.uniform(0, 0.5) * (top - bottom)
            red, green, blue = rng.integers(30, 150) * rng.uniform(0.7, 1.3, 3)
            edge = min(spot + wide, right - 0.08), min(shelf + tall, top - 0.1)
            canvas.fill(spot, edge[0], shelf, edge[1], (int(red), int(green), int(blue)))
        return
    pane_bar = 0.06
    curtain = rng.random()
    fabric = int(rng.integers(130, 215))
    drawn = rng.uniform(0.15, 0.9)
    for a, b, c, d in _grid(opening, building.panes, pane_bar):
        canvas.fill(a, b, c, d, (dark, dark + 4, dark + 9))
        if curtain < 0.25:
            canvas.fill(a, b, max(c, min(d, top - drawn * (top - bottom))), d, (fabric, fabric - 4, fabric - 14))
        elif curtain < 0.55:
            side = 0.28 * (right - left)
            if a < left + side:
                canvas.fill(a, min(b, left + side), c, d, (fabric, fabric - 6, fabric - 12))
            if b > right - side:
                canvas.fill(max(a, right - side), b, c, d, (fabric, fabric - 6, fabric - 12))


def paint_day(building: Building) -> np.ndarray:
    """The facade by daylight, 8-bit sRGB (height, width, 3) at TEXELS per metre; the first row is the top."""
    rng = np.random.default_rng([building.texture_seed, 1])
    shape = (round(building.height * TEXELS), round(building.width * TEXELS))
    wall = _wall(rng, building, shape)
    if building.wall == "lot":
        return wall.astype(np.uint8)
    ground = round(building.ground_height * TEXELS)
    factor = wall[-ground:] / np.maximum(np.array(building.wall_shade, float), 1.0)
    wall[-ground:] = np.clip(factor * np.array(building.ground_shade, float), 4, 250)
    image = Image.fromarray(wall.astype(np.uint8))
    canvas = _Canvas(image, building.height)
    if building.bands:
        canvas.fill(0, building.width, building.ground_height - 0.05, building.ground_height + 0.2, building.trim_shade)
        canvas.fill(0, building.width, building.height - 0.35, building.height, building.trim_shade)
    if rng.random() < 0.3:
        for n in range(int(building.height / 0.6)):
            edge = 0.5 if n % 2 else 0.3
            canvas.fill(0, edge, 0.6 * n, 0.6 * n + 0.5, building.trim_shade)
            canvas.fill(building.width - edge, building.width, 0.6 * n, 0.6 * n + 0.5, building.trim_shade)
    for opening in building.openings:
        edge = building.surround
        if edge and opening.kind in ("window", "door"):
            canvas.fill(
                opening.left - edge,
                opening.right + edge,
                opening.bottom - edge / 2,
                opening.top + edge,
                building.trim_shade,
            )
        if building.shutter_shade and opening.kind == "window" and opening.bottom > building.ground_height:
            half = 0.45 * (opening.right - opening.left)
            for a, b in (
                (opening.left - half - 0.03, opening.left - 0.03),
                (opening.right + 0.03, opening.right + half + 0.03),
            ):
                canvas.fill(a, b, opening.bottom, opening.top, building.shutter_shade)
                for n in range(6):
                    slat = opening.bottom + (n + 0.5) * (opening.top - opening.bottom) / 6
                    canvas.fill(a + 0.05, b - 0.05, slat - 0.05, slat + 0.05, _times(building.shutter_shade, 0.75))
        _paint_opening(canvas, rng, building, opening)
    if building.sign:
        canvas.fill(*building.sign_band, building.sign_shade)
        ink: Shade = (245, 242, 232) if sum(building.sign_shade) < 420 else (30, 28, 26)
        canvas.text(*building.sign_band, building.sign, ink)
    return np.array(image)


def paint_glow(building: Building, rng: np.random.Generator) -> np.ndarray:
    """The light emitted at night, linear radiance (height, width, 3) at TEXELS per metre: windows, shops, the sign.

    `rng` decides which windows are lit, so it differs between nights. Black emits nothing.
    """
    shape = (round(building.height * TEXELS), round(building.width * TEXELS))
    image = Image.new("RGB", (shape[1], shape[0]))
    canvas = _Canvas(image, building.height)
    share = rng.uniform(0.08, 0.55)
    open_late = rng.random() < 0.55
    for opening in building.openings:
        lit = rng.random() < (share if opening.kind == "window" else 0.0)
        tint = WARM[rng.integers(len(WARM))] if rng.random() < 0.75 else COOL[rng.integers(len(COOL))]
        level = rng.uniform(0.25, 0.72)
        curtain, edge = rng.random(), rng.uniform(0.15, 0.4) * (opening.right - opening.left)
        if opening.kind == "shop" and open_late:
            canvas.fill(
                opening.left + 0.06, opening.right - 0.06, opening.bottom + 0.06, opening.top - 0.06, _times(tint, 0.7)
            )
            for _ in range(int(rng.integers(3, 9))):
                wide, tall = rng.uniform(0.1, 0.45), rng.uniform(0.1, 0.8)
                spot = rng.uniform(opening.left, opening.right - 0.1)
                low = opening.bottom + 0.06
                right, top = min(spot + wide, opening.right - 0.06), min(low + tall, opening.top - 0.1)
                canvas.fill(spot, right, low, top, _times(tint, rng.uniform(0.15, 0.5)))
        if not lit:
            continue
        for a, b, c, d in _grid(opening, building.panes, 0.06):
            canvas.fill(a, b, c, d, _times(tint, level))
            middle = (c + d) / 2
            canvas.fill(a, b, middle, d, _times(tint, level * 1.15))
            if curtain < 0.5 and a < opening.left + edge:
                canvas.fill(a, min(b, opening.left + edge), c, d, _times(tint, level * 0.55))
            if curtain < 0.7 and b > opening.right - edge:
                canvas.fill(max(a, opening.right - edge), b, c, d, _times(tint, level * 0.6))
    if building.sign and rng.random() < 0.75:
        boxed = rng.random() < 0.5
        if boxed:
            canvas.fill(*building.sign_band, _times(building.sign_shade, 0.75))
        bright: Shade = (250, 244, 230) if boxed else _times(building.sign_shade, 1.6)
        canvas.text(*building.sign_band, building.sign, bright)
    return GLOW_SCALE * (np.asarray(image, np.float32) / 255.0) ** 2.2
