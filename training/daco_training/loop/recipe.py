"""The two recipes: what the published code does, and ours; ours comes apart, so that each part can be tried without."""

from dataclasses import dataclass
from typing import Any

RECIPES = ("published", "modern")
FROM_SCRATCH = "none"


@dataclass(frozen=True)
class Recipe:
    """What a run does besides its method. The published recipe has none of these parts.

    Args:
        grid: `GridPooling` unless another pooling is asked for.
        rows: in the grid the first and the last row count less.
        whitening: the linear maps of `GridPooling` begin as principal components of the training photographs.
        views: views that a person would know the place by, under random conditions, instead of SimCLR's.
        direct: the loss compares the descriptors that retrieval compares, instead of a projection head's output.
        frozen: a pretrained backbone stays as it is, so that it cannot forget what photographs look like; what is on
            top of it learns.
    """

    grid: bool = False
    rows: bool = False
    whitening: bool = False
    views: bool = False
    direct: bool = False
    frozen: bool = False


PARTS = tuple(Recipe.__dataclass_fields__)

# the defaults of the options
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
    """A recipe by name, without some of its parts."""
    return Recipe(**{part: name == "modern" and part not in without for part in PARTS})
