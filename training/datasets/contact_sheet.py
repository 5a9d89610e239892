"""A labelled grid of images on one sheet, for a person to look at."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont, ImageOps

GAP = 6
PAPER = "white"
EMPTY = (232, 232, 232)
INK = (40, 40, 40)


def contact_sheet(rows: Sequence[Sequence[Image.Image]], titles: Sequence[str], cell: int = 192) -> Image.Image:
    """A sheet with one row of cells for each row of images, under one title for each column.

    Every image is scaled to fit its square cell and keeps its shape. Rows may be shorter than the longest one.

    Args:
        rows: the images, row by row.
        titles: what stands over the columns; fewer titles than columns leave the rest bare.
        cell: side of a cell in pixels.

    Returns:
        An RGB image; a strip of nothing but titles when there are no rows.
    """
    columns = max([len(titles), 1, *(len(row) for row in rows)])
    font = ImageFont.load_default(size=max(10, cell // 12))
    # a title has its column's width at most, so that neighbours stay readable
    heads = [_shorten(title, cell, font) for title in titles]
    head_height = (max(10, cell // 12) + 2 * GAP) if any(heads) else GAP
    step = cell + GAP
    sheet = Image.new("RGB", (columns * step + GAP, head_height + len(rows) * step), PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, head in enumerate(heads):
        draw.text((GAP + column * step, GAP), head, fill=INK, font=font)
    for number, row in enumerate(rows):
        for column, image in enumerate(row):
            corner = GAP + column * step, head_height + number * step
            fitted = ImageOps.contain(image.convert("RGB"), (cell, cell), Image.Resampling.LANCZOS)
            sheet.paste(Image.new("RGB", (cell, cell), EMPTY), corner)
            sheet.paste(fitted, (corner[0] + (cell - fitted.width) // 2, corner[1] + (cell - fitted.height) // 2))
    return sheet


def _shorten(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """The text, cut with an ellipsis where it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
