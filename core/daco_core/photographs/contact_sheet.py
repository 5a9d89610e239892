"""A labelled grid of images on one sheet, for people to look at."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont, ImageOps

from daco_core.errors import DacoError, reason_of
from daco_core.files import replace_file

GAP = 6
PAPER = "white"
EMPTY = (232, 232, 232)
INK = (40, 40, 40)


def contact_sheet(
    rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], cell: int = 192, height: int | None = None
) -> Image.Image:
    """A sheet with one row of cells for each row of images, and a title above each column.

    Every image is scaled to fit its cell and keeps its proportions. Rows may have different lengths.

    Args:
        rows: the images, row by row.
        titles: the text above the columns; columns beyond the last title have none.
        cell: width of a cell in pixels.
        height: height of a cell in pixels; None for the cell's width.

    Returns:
        An RGB image; a strip with only the titles if there are no rows.
    """
    height = height or cell
    columns = max([len(titles), 1, *(len(row) for row in rows)])
    font = ImageFont.load_default(size=max(10, cell // 12))
    # a title is at most as wide as its column, so that neighbouring titles do not overlap
    heads = [shorten(title, cell, font) for title in titles]
    head_height = (max(10, cell // 12) + 2 * GAP) if any(heads) else GAP
    step, down = cell + GAP, height + GAP
    sheet = Image.new("RGB", (columns * step + GAP, head_height + len(rows) * down), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        draw.text((GAP + column * step, GAP), head, fill=INK, font=font)
    for number, row in enumerate(rows):
        for column, image in enumerate(row):
            corner = GAP + column * step, head_height + number * down
            fitted = ImageOps.contain(image.convert("RGB"), (cell, height), Image.Resampling.LANCZOS)
            sheet.paste(Image.new("RGB", (cell, height), EMPTY), corner)
            sheet.paste(fitted, (corner[0] + (cell - fitted.width) // 2, corner[1] + (height - fitted.height) // 2))
    return sheet


def save_picture(picture: Image.Image, file: Path) -> None:
    """Writes a picture atomically, in the format that the file's suffix names.

    Raises:
        DacoError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file) as fresh:
            picture.save(fresh, quality=95)
    except (OSError, ValueError) as error:  # Pillow raises ValueError for a suffix that it does not know
        raise DacoError(f"{file} cannot be written: {reason_of(error)}.") from error


def shorten(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, cut with an ellipsis if it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
