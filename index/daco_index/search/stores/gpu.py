"""FAISS on a GPU: whether there is one, and what of an index it takes over.

Not thread-safe even for reading (facebookresearch/faiss#4525): whoever searches there does it one at a time.
"""

from typing import Any

import faiss

from daco_core.errors import UsageError
from daco_index.search.index_choice import Gpu

GPU_MOST = 2048  # candidates for a query, and lists that are looked through for one, by FAISS on a GPU


def wanted(gpu: Gpu) -> bool:
    """Whether a GPU is to be used; with `auto`, where FAISS sees one.

    Raises:
        DacoError: `on`, and FAISS sees none.
    """
    # faiss-cpu has neither GPUs nor a way to them
    seen = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
    if gpu == "on" and not seen:
        raise UsageError("FAISS sees no GPU here: leave --gpu out, or install faiss-gpu where there is one.")
    return seen and gpu != "off"


def train_there(index: Any) -> None:
    """Lets the k-means of an inverted file run on all GPUs."""
    if hasattr(index, "clustering_index"):
        index.clustering_index = faiss.index_cpu_to_all_gpus(faiss.IndexFlatL2(index.d))


def move_there(index: faiss.Index) -> tuple[faiss.Index, Any] | None:
    """A copy of an index on the first GPU, and what must live as long; None where FAISS has no such index there.

    Flat indexes, and inverted files that are flat, of scalar codes, or of product codes of 8 bits; behind a PCA, too;
    not those that look through more lists than FAISS does there.
    """
    if getattr(faiss.try_extract_index_ivf(index), "nprobe", 0) > GPU_MOST:
        return None
    resources = faiss.StandardGpuResources()
    options = faiss.GpuClonerOptions()
    options.useFloat16 = True  # the tables of 64 product codes do not fit a block's shared memory in 32 bits
    if isinstance(index, faiss.IndexFlat):
        options.useFloat16 = False  # its similarities are the answer
    try:
        moved = faiss.index_cpu_to_gpu(resources, 0, index, options)
    except RuntimeError:  # not implemented there, or no memory left
        return None
    return moved, resources
