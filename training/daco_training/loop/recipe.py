"""The two training recipes: the published one, and the modern one, whose parts can be left out individually."""

from dataclasses import dataclass
from typing import Any

RECIPES = ("published", "modern")
FROM_SCRATCH = "none"


@dataclass(frozen=True)
class Recipe:
    """The parts of the modern recipe that a run uses; the published recipe uses none.

    Args:
        grid: `GridPooling`, unless another pooling is chosen.
        rows: the first and last row of the grid have less weight.
        whitening: the linear maps of `GridPooling` are initialised with principal components of the training
            photographs.
        views: large crops, never mirrored, under random conditions, instead of SimCLR's augmentation.
        direct: the loss compares the descriptors themselves, instead of a projection head's output.
        frozen: a pretrained backbone is not trained; only the pooling and the head on top of it are.
    """

    grid: bool = False
    rows: bool = False
    whitening: bool = False
    views: bool = False
    direct: bool = False
    frozen: bool = False


PARTS = tuple(Recipe.__dataclass_fields__)

# the default options
DEFAULTS: dict[str, dict[str, Any]] = {
    "published": {
        "temperature": 0.1,
        "iters": 40000,
        "backbone": "resnet50",
        "pooling": "avg",
        "resize": "shorter",
        "pretrained": FROM_SCRATCH,
        "weight_decay": 1e-6,
        "precision": "fp32",
    },
    "modern": {
        "temperature": 0.07,
        "iters": 200,
        "backbone": "tf_efficientnet_lite0",
        "pooling": "grid",
        "resize": "square",
        "pretrained": "imagenet",
        "weight_decay": 1e-4,
        "precision": "auto",
    },
}


def make_recipe(name: str, without: tuple[str, ...]) -> Recipe:
    """The recipe of that name, without some parts."""
    return Recipe(**{part: name == "modern" and part not in without for part in PARTS})
