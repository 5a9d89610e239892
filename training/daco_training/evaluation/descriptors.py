"""Embeds photographs with an encoder, in batches."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from daco_core.photographs.images import open_rgb
from daco_core.threads import in_threads
from daco_training.encoder.encoder import Encoder


@torch.inference_mode()
def embed_tensors(
    encoder: Encoder,
    tensors: Sequence[Tensor],
    run: Callable[[Tensor], Tensor] | None = None,
    width: int | None = None,
) -> Tensor:
    """Embeds prepared images: (3, h, w) each to (n, dimension), on the CPU, in the given order.

    Images of the same shape are embedded in one batch.

    Args:
        run: from (n, 3, h, w) to (n, width), called instead of the encoder.
        width: the length of what `run` returns; None for the encoder's dimension.
    """
    device = next(encoder.parameters()).device
    groups: dict[torch.Size, list[int]] = defaultdict(list)
    for position, tensor in enumerate(tensors):
        groups[tensor.shape].append(position)
    descriptors = torch.empty(len(tensors), width or encoder.dimension)
    for positions in groups.values():
        batch = torch.stack([tensors[position] for position in positions])
        batch = batch.to(device, memory_format=encoder.memory_format)
        descriptors[positions] = (run or encoder)(batch).float().cpu()
    return descriptors


def embed_files(encoder: Encoder, files: Sequence[Path], description: str, batch_size: int = 32) -> Tensor:
    """Embeds image files: (n, dimension), in the given order. Threads decode while the encoder computes.

    Raises:
        UnreadableImage: a file is not an image.
    """
    prepared = in_threads(lambda file: encoder.prepare(open_rgb(file)), files, description)
    batches = iter(lambda: list(islice(prepared, batch_size)), [])
    return torch.cat([embed_tensors(encoder, batch) for batch in batches])
