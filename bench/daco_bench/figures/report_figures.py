"""The figures of an HTML report, as elements that need no other file."""

import base64
import io
from collections.abc import Sequence

from PIL import Image

from daco_bench.figures.curves import curves
from daco_bench.figures.figure import to_svg
from daco_bench.figures.strips import query_strips
from daco_bench.recall.retrieval import Retrieval
from daco_core.errors import DacoError

STRIPS = 6
CELL = 160  # pixels


def report_figures(answers: Sequence[Retrieval]) -> tuple[list[str], str]:
    """The recall curves of all directions and query strips of the first one; and a sentence if a figure is missing.

    The strips show the encoders' own answers, without re-ranking. Without matplotlib the curves are missing.

    Raises:
        UnreadableImage: a photograph is damaged.
    """
    first = [one for one in answers if one.direction == answers[0].direction and one.first_stage is None]
    strips = _to_img(query_strips(first, STRIPS, cell=CELL), "Query strips: the first match of each method")
    try:
        return [to_svg(curves(answers, precision=False), "Recall curves"), strips], ""
    except DacoError as error:
        return [strips], f"The recall curves are missing. {error}"


def _to_img(image: Image.Image, title: str) -> str:
    data = io.BytesIO()
    image.save(data, format="JPEG", quality=85)
    return f'<img alt="{title}" src="data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}">'
