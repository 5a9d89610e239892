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
def describe(
    encoder: Encoder,
    tensors: Sequence[Tensor],
    run: Callable[[Tensor], Tensor] | None = None,
    width: int | None = None,
) -> Tensor:
    """Descriptors of prepared images: (3, h, w) each to (n, dimension), on the CPU, in the order given.

    Images of one shape go through as one batch.

    Args:
        run: (n, 3, h, w) to (n, width), called instead of the encoder.
        width: the length of what `run` returns; the encoder's dimension if None.
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


def describe_files(encoder: Encoder, files: Sequence[Path], description: str, batch_size: int = 32) -> Tensor:
    """Descriptors of image files, (n, dimension), in the order given; threads decode while the encoder computes.

    Raises:
        UnreadableImage: a file is not an image.
    """
    prepared = in_threads(lambda file: encoder.prepare(open_rgb(file)), files, description)
    batches = iter(lambda: list(islice(prepared, batch_size)), [])
    return torch.cat([describe(encoder, batch) for batch in batches])
