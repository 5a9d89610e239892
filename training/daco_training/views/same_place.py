"""Pairs of photographs that show the same place: from data sets with twins, and from rendered viewpoints.

`daco_training.encoder.learned_whitening` is fitted to the differences between their descriptors.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, combinations
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from daco_core.errors import NotFound, UsageError
from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_core.threads import in_threads
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.learned_whitening import fit_learned_whitening
from daco_training.evaluation.descriptors import embed_files, embed_tensors
from daco_training.views.movement import draw_movement, move

PHOTOGRAPHS = 400  # about how many with twins are used; each gives four descriptors
PLACES = 400  # about how many with several viewpoints are used
PAIRS = ((0, 1), (0, 2), (0, 3), (1, 2))  # of photograph, twin, moved photograph and moved twin


def whiten_encoder(
    encoder: Encoder, data_root: Path, twins: str | None, viewpoints: str | None, seed: int = 0
) -> Encoder:
    """Fits a learned whitening to an encoder, and replaces the one that it has.

    Args:
        twins: name of a data set whose training photographs have twins.
        viewpoints: name of a data set with viewpoints.

    Returns:
        The encoder, changed in place; its description of the training says what the whitening was fitted to.

    Raises:
        UsageError: neither data set is named.
        NotFound: a data set does not have what is needed.
        UnreadableImage: a file is not an image.
    """
    encoder.whitening = None
    differences = []
    if twins is not None:
        differences.append(twin_differences(encoder, DataSet(data_root, twins), seed))
    if viewpoints is not None:
        differences.append(viewpoint_differences(encoder, DataSet(data_root, viewpoints)))
    if not differences:
        raise UsageError("Name a data set with twins (--data-name), one with viewpoints (--viewpoints), or both.")
    encoder.whitening = fit_learned_whitening(differences).to(next(encoder.parameters()).device)
    fitted = {
        "twins": twins,
        "viewpoints": viewpoints,
        "seed": seed,
        "differences": [len(rows) for rows in differences],
    }
    training = {**encoder.config.training, "whitened": fitted}
    encoder.config = replace(encoder.config, training=training, recall={})
    return encoder.eval()


def twin_differences(encoder: Encoder, dataset: DataSet, seed: int = 0) -> Tensor:
    """Differences of descriptors between training photographs, their twins, and both seen by a moved camera.

    If there are more, about PHOTOGRAPHS of them are used, evenly spread.

    Returns:
        (n, dimension)

    Raises:
        NotFound: no training photograph has a twin.
        UnreadableImage: a file is not an image.
    """
    originals = [image for image in dataset.training_images() if dataset.twin(image).exists()]
    if not originals:
        raise NotFound(f"No training photograph of {dataset.folder} has a twin: make them with daco-data translate.")
    originals = originals[:: max(len(originals) // PHOTOGRAPHS, 1)]
    random = np.random.default_rng(seed)
    seeds = random.integers(2**32, size=len(originals)).tolist()

    def views(numbered: tuple[Path, int]) -> list[Tensor]:
        original, own_seed = numbered
        own = np.random.default_rng(own_seed)
        taken = [open_rgb(original), open_rgb(dataset.twin(original))]
        moved = [_moved(image, own, encoder.config.image_size) for image in taken]
        return [encoder.prepare(image) for image in (*taken, *moved)]

    found: list[Tensor] = []
    for four in in_threads(views, list(zip(originals, seeds, strict=True)), "twins"):
        descriptors = embed_tensors(encoder, four)
        found.extend(descriptors[one] - descriptors[other] for one, other in PAIRS)
    return torch.stack(found)


def viewpoint_differences(encoder: Encoder, dataset: DataSet) -> Tensor:
    """Differences of descriptors between all training photographs of a rendered place: every condition and viewpoint.

    Files of one name show one place, as `daco-data demo --viewpoint` writes them. If there are more, about PLACES
    of them are used, evenly spread.

    Returns:
        (n, dimension)

    Raises:
        NotFound: there are no viewpoints.
        UnreadableImage: a file is not an image.
    """
    places: dict[str, list[Path]] = defaultdict(list)
    viewpoints = sorted(f"viewpoint/{path.name}" for path in (dataset.folder / "viewpoint").glob("*") if path.is_dir())
    for kind in ("original", *viewpoints):
        for domain in dataset.domains:
            for image in dataset.images(domain, "train", kind):
                places[image.name].append(image)
    seen = [photographs for _, photographs in sorted(places.items()) if len(photographs) > 1]
    if not viewpoints or not seen:
        raise NotFound(f"{dataset.folder} has no place from several viewpoints (daco-data demo --viewpoint).")
    seen = seen[:: max(len(seen) // PLACES, 1)]
    descriptors = iter(embed_files(encoder, list(chain.from_iterable(seen)), "viewpoints"))
    grouped: Sequence[list[Tensor]] = [[next(descriptors) for _ in photographs] for photographs in seen]
    return torch.stack([one - other for place in grouped for one, other in combinations(place, 2)])


def _moved(image: Image.Image, random: np.random.Generator, size: int) -> Image.Image:
    """The image from a camera that was moved and turned at random."""
    pixels = torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1)
    view = move([pixels], [draw_movement(random, image.height, image.width)], size)[0]
    return Image.fromarray(view.round().byte().permute(1, 2, 0).numpy())
