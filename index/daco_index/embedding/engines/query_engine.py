"""Creates the engine that embeds the queries of an index."""

import logging

from daco_core.errors import DacoError
from daco_index.embedding.engines.create import best_precision, create_engine
from daco_index.embedding.engines.engine import Engine
from daco_index.embedding.engines.quantise import MODEL_FILE
from daco_index.embedding.precision_record import Precision, PrecisionRequest
from daco_index.search.bundle import Bundle

log = logging.getLogger(__name__)


def query_precision(bundle: Bundle, device: str = "auto", requested: PrecisionRequest = "auto") -> Precision:
    """The precision of queries: with `auto`, the one that passed the test when the index was built.

    If this machine does not support that one, it is fp32, with a warning.

    Raises:
        DacoError: there is no such device.
    """
    if requested != "auto":
        return requested
    proved = bundle.manifest.queries.precision
    precision, why = best_precision(proved, device)
    if why:
        log.warning("Queries are embedded in %s, not in %s as the index was built for: %s.", precision, proved, why)
    return precision


def query_engine(
    bundle: Bundle, device: str = "auto", requested: PrecisionRequest = "auto", threads: int = 0
) -> Engine:
    """The engine for an index's queries, whose descriptors can be compared with the index's.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, ...; or `auto`, the GPU if there is one.
        requested: see `query_precision`.
        threads: on a CPU; 0 for all cores.

    Raises:
        DacoError: there is no such device, it does not support the precision requested by name, or the index has no
            such form of its encoder.
    """
    quantised = bundle.quantised / MODEL_FILE if bundle.quantised else None
    precision = query_precision(bundle, device, requested)
    try:
        return create_engine(bundle.encoder, device, precision, quantised, threads)
    except DacoError as error:
        if requested != "auto" or precision == "fp32":
            raise
        log.warning("Queries are embedded in fp32, not in %s as the index was built for: %s", precision, error)
        return create_engine(bundle.encoder, device, threads=threads)
