"""Draws the parameters of buildings at random: widths, heights, colours and openings, as real streets vary."""

from dataclasses import dataclass

import numpy as np

Shade = tuple[int, int, int]  # 8-bit sRGB

PLASTERS: tuple[Shade, ...] = (
    (222, 205, 170), (206, 180, 140), (214, 168, 120), (196, 120, 90), (230, 224, 212), (180, 190, 170),
    (158, 178, 190), (212, 190, 196), (232, 214, 140), (170, 96, 82), (140, 150, 160), (204, 206, 200),
    (120, 140, 118), (186, 150, 120),
)  # fmt: skip
BRICKS: tuple[Shade, ...] = (
    (140, 70, 52), (160, 88, 62), (118, 62, 52), (176, 124, 88), (150, 104, 86), (186, 160, 124), (104, 76, 70),
)  # fmt: skip
STONES: tuple[Shade, ...] = ((186, 178, 160), (160, 152, 140), (200, 190, 166), (140, 138, 136), (176, 150, 128))
PANELS: tuple[Shade, ...] = ((150, 158, 164), (196, 200, 202), (92, 104, 116), (170, 140, 110), (110, 116, 104))
TRIMS: tuple[Shade, ...] = ((236, 232, 222), (206, 198, 180), (90, 84, 80), (160, 150, 134), (222, 214, 190))
FRAMES: tuple[Shade, ...] = ((240, 240, 236), (238, 236, 230), (70, 60, 52), (52, 70, 60), (110, 74, 50), (60, 64, 70))
DOORS: tuple[Shade, ...] = (
    (90, 50, 36), (40, 70, 52), (38, 52, 88), (120, 34, 34), (60, 60, 62), (140, 100, 60), (186, 176, 150),
)  # fmt: skip
ROOFS: tuple[Shade, ...] = ((140, 76, 58), (116, 66, 56), (84, 84, 90), (70, 66, 66), (150, 96, 70), (98, 104, 108))
SIGNS: tuple[Shade, ...] = (
    (176, 32, 40), (28, 76, 150), (20, 110, 70), (230, 180, 30), (30, 30, 34), (120, 40, 110), (235, 235, 230),
    (220, 100, 30), (40, 140, 150),
)  # fmt: skip
TRADES = (
    "BAKERY", "CAFE", "BOOKS", "PHARMACY", "FLOWERS", "OPTICS", "WINE", "HOTEL", "BANK", "SHOES", "TAILOR", "MUSIC",
    "BIKES", "PIZZA", "HAIR", "FISH", "TEA", "TOYS", "BAR", "CINEMA", "MARKET", "JEWELS", "PAINT", "TRAVEL", "DELI",
    "POST", "VINYL", "SUSHI", "KEYS", "LAUNDRY",
)  # fmt: skip
OWNERS = (
    "Adler", "Benn", "Corvi", "Dahl", "Ekman", "Ferri", "Gruber", "Holm", "Ivers", "Jonas", "Kranz", "Lotte", "Moser",
    "Nagel", "Oster", "Prinz", "Quist", "Roth", "Sauer", "Thal", "Ulm", "Vogt", "Weiss", "Zorn",
)  # fmt: skip


@dataclass(frozen=True)
class Opening:
    """A hole in a facade: metres from the building's left edge and above the pavement."""

    kind: str  # "window", "shop", "door" or "garage"
    left: float
    right: float
    bottom: float
    top: float


@dataclass(frozen=True)
class Building:
    """A building in a row: `start` is metres along the row; a `lot` without floors is a garden behind a fence."""

    start: float
    width: float
    height: float
    ground_height: float
    wall: str  # "plaster", "brick", "stone", "panels" or "lot"
    wall_shade: Shade
    ground_shade: Shade
    trim_shade: Shade
    frame_shade: Shade
    door_shade: Shade
    roof: str  # "flat", "pitched" or "gable"
    roof_shade: Shade
    roof_rise: float
    recess: float
    panes: tuple[int, int]
    surround: float  # width of the painted frame round the windows; 0 for none
    shutter_shade: Shade | None
    bands: bool
    openings: tuple[Opening, ...]
    balconies: tuple[Opening, ...]
    sign: str
    sign_shade: Shade
    sign_band: tuple[float, float, float, float]  # left, right, bottom, top; all 0 for none
    awning_shade: Shade | None
    blade: float  # height in metres of a sign that stands out from the wall; 0 for none
    texture_seed: int


def _pick(rng: np.random.Generator, shades: tuple[Shade, ...], spread: int = 10) -> Shade:
    shade = np.array(shades[rng.integers(len(shades))]) + rng.integers(-spread, spread + 1, 3)
    red, green, blue = np.clip(shade, 8, 247)
    return int(red), int(green), int(blue)


def _storey_windows(rng: np.random.Generator, width: float, floors: list[float], storey: float) -> list[Opening]:
    margin = rng.uniform(0.5, 1.2)
    pitch = rng.uniform(1.7, 3.3)
    columns = max(1, int((width - 2 * margin) / pitch))
    pitch = (width - 2 * margin) / columns
    style = rng.random()
    wide = pitch * (rng.uniform(0.36, 0.62) if style < 0.8 else rng.uniform(0.78, 0.92))
    tall = min(storey - 0.75, rng.uniform(1.3, 2.3))
    sill = min(storey - tall - 0.35, rng.uniform(0.75, 1.0)) if style < 0.8 else 0.8
    paired = columns >= 4 and rng.random() < 0.25
    blind = int(rng.integers(columns)) if columns >= 3 and rng.random() < 0.3 else -1
    openings = []
    for storey_number, floor in enumerate(floors):
        shrink = 1.0 - 0.12 * storey_number * (style < 0.25)
        for column in range(columns):
            if column == blind:
                continue
            middle = margin + (column + 0.5) * pitch
            if paired:
                middle += (0.16 if column % 2 == 0 else -0.16) * pitch
            half = min(wide, pitch * 0.92) / 2 * (0.8 if paired else 1.0)
            openings.append(Opening("window", middle - half, middle + half, floor + sill, floor + sill + tall * shrink))
    return openings


def _ground_openings(rng: np.random.Generator, width: float, height: float, shop: bool) -> list[Opening]:
    openings = []
    door_width = rng.uniform(0.95, 1.5)
    door_top = min(height - 0.7, rng.uniform(2.2, 2.8))
    edge = rng.uniform(0.3, 0.7)
    door_left = edge if rng.random() < 0.4 else width - edge - door_width
    if rng.random() < 0.3:
        door_left = (width - door_width) * rng.uniform(0.35, 0.65)
    openings.append(Opening("door", door_left, door_left + door_width, 0.05, door_top))
    for low, high in ((edge, door_left - 0.35), (door_left + door_width + 0.35, width - edge)):
        room = high - low
        if room < 1.2:
            continue
        if not shop and room > 3.6 and rng.random() < 0.15:
            openings.append(Opening("garage", low, low + 2.7, 0.02, min(2.5, height - 0.6)))
            low, room = low + 3.1, room - 3.1
            if room < 1.2:
                continue
        if shop:
            count = max(1, round(room / rng.uniform(2.2, 4.5)))
            pitch = room / count
            bottom = rng.uniform(0.25, 0.7)
            for n in range(count):
                left = low + n * pitch
                openings.append(Opening("shop", left + 0.12, left + pitch - 0.12, bottom, door_top + 0.1))
        else:
            count = max(1, int(room / rng.uniform(1.8, 3.0)))
            pitch = room / count
            half = min(0.32 * pitch, 0.8)
            for n in range(count):
                middle = low + (n + 0.5) * pitch
                openings.append(Opening("window", middle - half, middle + half, 1.05, min(door_top, height - 0.6)))
    return openings


def draw_building(rng: np.random.Generator, start: float, width: float) -> Building:
    """A building of `width` metres that begins `start` metres along its row."""
    wall = str(rng.choice(["plaster", "brick", "stone", "panels"], p=[0.45, 0.27, 0.14, 0.14]))
    wall_shade = _pick(rng, {"plaster": PLASTERS, "brick": BRICKS, "stone": STONES, "panels": PANELS}[wall])
    shop = bool(rng.random() < 0.5)
    storeys = int(rng.choice([1, 2, 3, 4], p=[0.2, 0.35, 0.3, 0.15]))
    storey = rng.uniform(2.8, 3.5)
    ground_height = rng.uniform(3.4, 4.3) if shop else rng.uniform(3.0, 3.6)
    crown = rng.uniform(0.3, 1.0)
    floors = [ground_height + n * storey for n in range(storeys)]
    openings = _ground_openings(rng, width, ground_height, shop)
    upper = _storey_windows(rng, width, floors, storey)
    balconies: list[Opening] = []
    if rng.random() < 0.3 and width > 6:
        columns = sorted({round(o.left, 3) for o in upper})
        chosen = set(columns[:: int(rng.integers(1, 4))])
        balconies = [o for o in upper if round(o.left, 3) in chosen]
    roof = str(rng.choice(["flat", "pitched", "gable"], p=[0.4, 0.42, 0.18]))
    if roof == "gable" and width > 11:
        roof = "pitched"
    has_sign = shop and rng.random() < 0.9
    sign = str(rng.choice(TRADES)) if rng.random() < 0.7 else f"{rng.choice(OWNERS)} & {rng.choice(OWNERS)}"
    sign_left = rng.uniform(0.3, max(0.31, width * 0.25))
    sign_right = width - rng.uniform(0.3, max(0.31, width * 0.25))
    sign_top = ground_height - rng.uniform(0.02, 0.12)
    lighter = rng.random() < 0.5
    ground_shade = wall_shade if rng.random() < 0.4 else _pick(rng, STONES if lighter else TRIMS)
    return Building(
        start=start,
        width=width,
        height=floors[-1] + storey + crown,
        ground_height=ground_height,
        wall=wall,
        wall_shade=wall_shade,
        ground_shade=ground_shade,
        trim_shade=_pick(rng, TRIMS),
        frame_shade=_pick(rng, FRAMES),
        door_shade=_pick(rng, DOORS),
        roof=roof,
        roof_shade=_pick(rng, ROOFS),
        roof_rise=rng.uniform(2.2, 4.2),
        recess=rng.uniform(0.08, 0.28),
        panes=(int(rng.integers(1, 4)), int(rng.integers(1, 4))),
        surround=float(rng.uniform(0.1, 0.22)) if rng.random() < 0.5 else 0.0,
        shutter_shade=_pick(rng, DOORS) if wall == "plaster" and rng.random() < 0.35 else None,
        bands=bool(rng.random() < 0.5),
        openings=tuple(openings + upper),
        balconies=tuple(balconies),
        sign=sign if has_sign else "",
        sign_shade=_pick(rng, SIGNS),
        sign_band=(sign_left, sign_right, sign_top - rng.uniform(0.45, 0.7), sign_top) if has_sign else (0, 0, 0, 0),
        awning_shade=_pick(rng, SIGNS) if shop and rng.random() < 0.4 else None,
        blade=float(rng.uniform(0.5, 1.6)) if shop and rng.random() < 0.45 else 0.0,
        texture_seed=int(rng.integers(2**31)),
    )


def draw_lot(rng: np.random.Generator, start: float, width: float) -> Building:
    """A gap of `width` metres in a row: a low wall or fence with greenery behind it."""
    shade = _pick(rng, STONES + BRICKS)
    none: Shade = (0, 0, 0)
    return Building(
        start, width, float(rng.uniform(0.8, 2.0)), 0.0, "lot", shade, shade, _pick(rng, TRIMS), none, none, "flat",
        none, 0.0, 0.0, (1, 1), 0.0, None, False, (), (), "", none, (0, 0, 0, 0), None, 0.0, int(rng.integers(2**31)),
    )  # fmt: skip


def draw_row(rng: np.random.Generator, length: float) -> list[Building]:
    """A closed row of buildings, `length` metres long, with a gap here and there."""
    row = []
    start = 0.0
    while start < length - 0.01:
        lot = rng.random() < 0.07 and 0 < start < length - 30
        width = float(
            rng.uniform(5.0, 9.0) if lot else rng.choice([rng.uniform(5, 8), rng.uniform(7, 12), rng.uniform(11, 17)])
        )
        if length - start - width < 5.0:
            width = length - start
            lot = False
        row.append(draw_lot(rng, start, width) if lot else draw_building(rng, start, width))
        start += width
    return row
