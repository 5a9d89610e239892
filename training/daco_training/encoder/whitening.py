"""Sets the linear maps of `GridPooling` from photographs: principal components with partly equalised variances."""

from collections.abc import Sequence
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path

import torch
from torch import Tensor, nn

from daco_core.photographs.images import open_rgb
from daco_core.threads import in_threads
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.pooling import GridPooling, PlacePooling

POWER = 0.25  # components are divided by this power of the variance; 0.5 would equalise them completely
RIDGE = 1e-3  # of the largest variance, added to each, because the smallest ones are mostly noise
PHOTOGRAPHS = 1500  # with 16 cells each: more than enough for 64 components


@torch.no_grad()
def whiten(encoder: Encoder, files: Sequence[Path], batch_size: int = 16) -> None:
    """Fits the linear maps of an encoder's `GridPooling` on photographs.

    Source: Jegou and Chum, "Negative Evidences and Co-occurrences in Image Retrieval: the Benefit of PCA and
    Whitening", ECCV 2012, with half its whitening.

    Args:
        files: training photographs; if there are more, about `PHOTOGRAPHS` of them are used, evenly spread.

    Raises:
        UnreadableImage: a file is not an image.
    """
    training = encoder.training
    pooling = encoder.eval().pooling
    assert isinstance(pooling, GridPooling)
    device = next(encoder.parameters()).device
    taken = files[:: max(len(files) // PHOTOGRAPHS, 1)]
    prepared = in_threads(lambda file: encoder.prepare(open_rgb(file)), taken, "whitening")
    seen: list[list[Tensor]] = []
    wholes: list[Tensor] = []
    for batch in iter(lambda: list(islice(prepared, batch_size)), []):
        for _, alike in groupby(sorted(batch, key=attrgetter("shape")), key=attrgetter("shape")):
            images = torch.stack(list(alike)).to(device, memory_format=encoder.memory_format)
            maps = encoder.feature_maps(images)
            seen.append(pooling.average(maps))
            if isinstance(pooling, PlacePooling):
                wholes.append(pooling.means(maps))
    for reduce, grids in zip(pooling.reduce, zip(*seen, strict=True), strict=True):
        assert isinstance(reduce, nn.Linear)
        _set_components(reduce, torch.cat(grids).flatten(0, 1))
    if isinstance(pooling, PlacePooling):
        _set_components(pooling.whole, torch.cat(wholes))
    encoder.train(training)


def _set_components(linear: nn.Linear, rows: Tensor) -> None:
    """Sets a linear map to the centring of rows (n, c) and their projection on the first principal components.

    If there are fewer components than outputs, the last outputs are 0.
    """
    rows = rows.double()
    mean = rows.mean(0)
    centred = rows - mean
    variances, vectors = torch.linalg.eigh(centred.mT @ centred / len(rows))
    kept = variances.flip(0)[: linear.out_features].clamp(min=0)
    directions = vectors.flip(1)[:, : linear.out_features]
    # the sign of a component is arbitrary; it is fixed, so that the same photographs give the same encoder
    directions = directions * directions.gather(0, directions.abs().argmax(0, keepdim=True)).sign()
    weight = (directions * (kept + RIDGE * kept[0]) ** -POWER).mT
    linear.weight.zero_()[: len(weight)] = weight
    linear.bias.zero_()[: len(weight)] = -weight @ mean
