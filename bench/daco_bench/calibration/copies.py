"""Calibrates an index by degraded copies of its own references, which are used as queries if there are none."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from daco_bench.calibration.asked_queries import ask
from daco_bench.calibration.name_rule import Names
from daco_bench.calibration.own import ELSEWHERE, LEAST_QUERIES, fit_and_judge
from daco_core.errors import DacoError, UsageError
from daco_core.photographs.coordinates import POSITION_FIELDS
from daco_core.photographs.images import UnreadableImage, open_reduced
from daco_index.embedding.engines.engine import Embedding, Engine
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.embedding.query_corruption import degraded
from daco_index.references.find import Reference
from daco_index.references.object_stores import as_source, read_source
from daco_index.search.bundle import Bundle
from daco_serve.engine.calibration import Calibration
from daco_serve.engine.references.likeness import spread_rows

STRENGTHS = (1, 3)  # of `degraded`, at which each reference is copied
MOST = 200  # largest number of references that are copied
QUERIES = "the index itself"  # the name of these queries in calibration.json


def calibrate_by_copies(
    index: Path, elsewhere: float = ELSEWHERE, device: str = "auto", trust: bool = False, progress: bool = True
) -> Calibration:
    """A calibration of an index and its encoder by copies of its photographs: cropped, darkened, tinted, blurred.

    Each copy is looked up in the full map, which contains its original, and in the map without its place. A copy is
    easier to locate than a photograph from another day, so a calibration by real queries is more reliable.

    Args:
        elsewhere: expected share of queries from places that are not on the map, between 0 and 1.

    Raises:
        DacoError: there is no index, it has no local descriptors, or too few of its photographs can be read.
    """
    bundle = Bundle.open(index, trust)
    if bundle.local is None:
        raise UsageError(
            f"{index} has no local descriptors. Without votes, a calibration by copies does not hold for photographs in"
            " another condition: calibrate with queries whose places are known."
        )
    embedded = _embed_copies(query_engine(bundle, device), _sample(bundle), progress)
    asked = ask(bundle, embedded, Names(), elsewhere, copies=True)
    if len(asked.truths) < LEAST_QUERIES:
        raise UsageError(
            f"{index} has {len(asked.truths) // len(STRENGTHS)} photographs that can be read; --self needs"
            f" {LEAST_QUERIES // len(STRENGTHS)}."
        )
    fitted = fit_and_judge(bundle, asked, Names(), index, QUERIES, elsewhere)
    return fitted.model_copy(update={"by": "copies"})


def _sample(bundle: Bundle) -> list[Reference]:
    """At most MOST references, evenly spread over the ids."""
    entries = bundle.catalog.all()
    return [
        Reference(as_source(one.path), one.place, **{name: getattr(one, name) for name in POSITION_FIELDS})
        for one in (entries[row] for row in spread_rows(len(entries), MOST))
    ]


def _embed_copies(
    engine: Engine, originals: Sequence[Reference], progress: bool
) -> Iterator[tuple[Reference, Embedding]]:
    """Yields copies of the photographs that can be read, with their descriptors; the others are reported on stderr."""
    shown = tqdm(originals, desc="copying", unit=" images", disable=not progress, file=sys.stderr)
    for number, original in enumerate(shown):
        try:
            image, _ = open_reduced(original.path, engine.image_size, read_source(original.path))
        except (UnreadableImage, DacoError) as error:
            tqdm.write(f"Skipped: {error}", file=sys.stderr)
            continue
        for strength in STRENGTHS:
            yield original, engine.embed_prepared_with_local([engine.prepare(degraded(image, strength, number))])
