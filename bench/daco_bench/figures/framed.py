"""Sheets of photographs with coloured frames for right and wrong, each with a caption."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageColor, ImageDraw, ImageFont, ImageOps

from daco_bench.figures import figure
from daco_core.photographs.contact_sheet import EMPTY, INK, PAPER, contact_sheet, shorten
from daco_core.photographs.images import open_rgb

RIGHT, WRONG = ImageColor.getrgb(figure.RIGHT), ImageColor.getrgb(figure.WRONG)
FRAME = 5  # pixels
LETTERS = 12  # pixels: size of the caption

Colour = tuple[int, ...]


@dataclass(frozen=True)
class Dot:
    """A mark on a photograph: its position as fractions from the upper left, and its colour."""

    x: float
    y: float
    colour: Colour


@dataclass(frozen=True)
class FramedPhotograph:
    """One cell: a file, the colour of its frame (None for no frame), its caption, and marks on it."""

    file: Path
    frame: Colour | None = None
    words: str = ""
    dots: tuple[Dot, ...] = ()


def framed_sheet(rows: Sequence[Sequence[FramedPhotograph]], titles: Sequence[str], cell: int) -> Image.Image:
    """A sheet with a title above each column; the cells are as high as the tallest photograph needs.

    Args:
        cell: width of a cell in pixels.

    Raises:
        UnreadableImage: a photograph is damaged.
    """
    inner = cell - 2 * FRAME
    opened = [[_fit(open_rgb(one.file, inner), inner) for one in row] for row in rows]
    tallest = max((image.height for row in opened for image in row), default=inner)
    words = LETTERS + 4 if any(one.words for row in rows for one in row) else 0
    cells = [
        [_cell(one, image, cell, tallest + 2 * FRAME, words) for one, image in zip(row, images, strict=True)]
        for row, images in zip(rows, opened, strict=True)
    ]
    return contact_sheet(cells, titles, cell, tallest + 2 * FRAME + words)


def _fit(image: Image.Image, side: int) -> Image.Image:
    return ImageOps.contain(image, (side, side), Image.Resampling.LANCZOS)


def _cell(one: FramedPhotograph, image: Image.Image, width: int, height: int, words: int) -> Image.Image:
    cell = Image.new("RGB", (width, height + words), PAPER)
    cell.paste(one.frame or EMPTY, (0, 0, width, height))
    cell.paste(EMPTY, (FRAME, FRAME, width - FRAME, height - FRAME))
    left, top = (width - image.width) // 2, (height - image.height) // 2
    cell.paste(image, (left, top))
    for dot in one.dots:
        middle = left + dot.x * image.width, top + dot.y * image.height
        ImageDraw.Draw(cell).circle(middle, max(2.0, width / 64), fill=dot.colour, outline=(0, 0, 0))
    font = ImageFont.load_default(size=LETTERS)
    ImageDraw.Draw(cell).text((FRAME, height + 1), shorten(one.words, width - FRAME, font), fill=INK, font=font)
    return cell
