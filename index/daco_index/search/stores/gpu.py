"""FAISS on a GPU: whether there is one, and which indexes it supports.

Not thread-safe even for reading (facebookresearch/faiss#4525), so only one thread may search at a time.
"""

from typing import Any

import faiss

from daco_core.errors import UsageError
from daco_index.search.index_choice import Gpu

GPU_MOST = 2048  # FAISS's limit on a GPU, for the candidates of a query and for the lists searched for one


def wanted(gpu: Gpu) -> bool:
    """Whether to use a GPU; with `auto`, if FAISS sees one.

    Raises:
        UsageError: `on`, but FAISS sees none.
    """
    # faiss-cpu has no functions for GPUs
    seen = hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0
    if gpu == "on" and not seen:
        raise UsageError("FAISS sees no GPU here: omit --gpu, or install faiss-gpu if there is one.")
    return seen and gpu != "off"


def train_there(index: Any) -> None:
    """Runs the k-means of an inverted file on all GPUs."""
    if hasattr(index, "clustering_index"):
        index.clustering_index = faiss.index_cpu_to_all_gpus(faiss.IndexFlatL2(index.d))


def move_there(index: faiss.Index) -> tuple[faiss.Index, Any] | None:
    """A copy of an index on the first GPU, and the resources that must live as long; None if FAISS has no such index.

    Supported are flat indexes, and inverted files that are flat, or have scalar codes or product codes of 8 bits; also
    behind a PCA. Those that search more lists than FAISS's limit are not.
    """
    if getattr(faiss.try_extract_index_ivf(index), "nprobe", 0) > GPU_MOST:
        return None
    resources = faiss.StandardGpuResources()
    options = faiss.GpuClonerOptions()
    options.useFloat16 = True  # the tables of 64 product codes do not fit a block's shared memory in 32 bits
    if isinstance(index, faiss.IndexFlat):
        options.useFloat16 = False  # because its similarities are returned
    try:
        moved = faiss.index_cpu_to_gpu(resources, 0, index, options)
    except RuntimeError:  # not implemented on a GPU, or no memory left
        return None
    return moved, resources
