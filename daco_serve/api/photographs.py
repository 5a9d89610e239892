"""Photographs as a program passes them: files, or Pillow images."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from PIL import Image

from daco_core.encoder.preparation import Prepared
from daco_core.photographs.images import open_reduced, to_rgb
from daco_core.threads import available_cores
from daco_index.embedding.engines.engine import Engine

Photograph = Path | str | Image.Image


def as_many(photographs: Photograph | Iterable[Photograph]) -> Iterable[Photograph]:
    """An iterable of photographs, from one or several."""
    return [photographs] if isinstance(photographs, (str, Path, Image.Image)) else photographs


def prepare(engine: Engine, photograph: Photograph) -> Prepared:
    """A photograph prepared for an engine.

    Raises:
        UnreadableImage: the file is not an image, or is damaged.
        UsageError: the image is too narrow.
    """
    if isinstance(photograph, Image.Image):
        return engine.prepare(to_rgb(photograph))
    return engine.prepare(open_reduced(photograph, engine.image_size)[0])


def prepared_batches(
    engine: Engine, photographs: Photograph | Iterable[Photograph], batch_size: int
) -> Iterator[list[Prepared]]:
    """Yields batches of prepared photographs, decoded on all cores; holds at most one. Raises as `prepare` does."""
    with ThreadPoolExecutor(available_cores(), thread_name_prefix="decode") as pool:
        rest = iter(as_many(photographs))
        while batch := list(islice(rest, batch_size)):
            yield list(pool.map(lambda photograph: prepare(engine, photograph), batch))
