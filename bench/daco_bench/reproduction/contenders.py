"""The contenders: the published methods, and variants that may explain their results."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from daco_core.errors import UsageError
from daco_training.loop.settings import PUBLISHED_BATCH_SIZE

METHODS = ("npid", "moco", "simsiam", "simclr", "daco")  # in the order of the published table
REMEMBERING = ("npid", "moco")  # have a memory: negatives may be older copies of the image itself
LEADING = ("simclr", "daco")  # may still gain from more streets or more iterations
MASKED, MODERN, STREETS, LONGER = "masked", "modern", "streets", "longer"
PERFECT = "daco, rendered twins"  # the upper bound: twins of a perfect translator
ALSO = (MASKED, MODERN, STREETS, LONGER)
MODERN_RECIPE, MORE_STREETS, MORE_ITERATIONS = ", modern recipe", ", more streets", ", more iterations"
FORMER_MODERN, FORMER_MODERN_RECIPE = "ours", ", our recipe"  # of earlier versions, still accepted and read


@dataclass(frozen=True)
class Contender:
    """A row of the comparison.

    Args:
        name: its name in the tables.
        method: the training method.
        twins: which twins daco trains with; None for the methods that need none.
        mask_copies: whether older copies of an image are left out of its negatives.
        recipe: `published` or `modern`.
        more_streets: whether it learns from the larger city.
        longer: whether it is trained for more iterations.
    """

    name: str
    method: str
    twins: str | None = None
    mask_copies: bool = False
    recipe: str = "published"
    more_streets: bool = False
    longer: bool = False

    @property
    def slug(self) -> str:
        """The name as a file name: `daco_fourier_twins`."""
        return _slug(self.name)

    @property
    def former_slug(self) -> str:
        """The file name that earlier versions used; equal to `slug` without the modern recipe."""
        return _slug(self.name.replace(MODERN_RECIPE, FORMER_MODERN_RECIPE))


def _slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def find_contenders(
    methods: Sequence[str], twins: Sequence[str], also: Sequence[str] = (MASKED, MODERN)
) -> list[Contender]:
    """All contenders, with the methods in the given order.

    Args:
        twins: of daco; the contender called `daco` uses the first.
        also: `masked` for npid and moco with older copies masked, `modern` for every method with the modern recipe;
            `streets` and `longer` for simclr and daco with more training streets and with more iterations.

    Raises:
        UsageError: there is no such method, or no twins are given for daco.
    """
    also = [MODERN if word == FORMER_MODERN else word for word in also]
    if unknown := [method for method in methods if method not in PUBLISHED_BATCH_SIZE]:
        raise UsageError(f"There is no method {unknown[0]!r}: choose from {', '.join(METHODS)}.")
    if strange := [word for word in also if word not in ALSO]:
        raise UsageError(f"--also cannot be {strange[0]!r}: choose from {', '.join(ALSO)}.")
    if "daco" in methods and not twins:
        raise UsageError("daco needs twins: name some with --twins, such as night.")
    published = [Contender(method, method, twins[0] if method == "daco" else None) for method in methods]
    remembering = [one for one in methods if one in REMEMBERING and MASKED in also]
    variants = [Contender(f"{one}, copies masked", one, None, True) for one in remembering]
    if "daco" in methods:
        variants += [Contender(f"daco, {kind} twins", "daco", kind) for kind in twins[1:]]
    modern = [
        Contender(one.method + MODERN_RECIPE, one.method, one.twins, recipe="modern")
        for one in published
        if MODERN in also
    ]
    return published + variants + _ablations(published + variants, also) + modern


def _ablations(contenders: Sequence[Contender], also: Sequence[str]) -> list[Contender]:
    """The leading methods, and daco with perfect twins, with more streets and with more iterations."""
    varied = [one for one in contenders if one.name in (*LEADING, PERFECT)]
    streets = [replace(one, name=one.name + MORE_STREETS, more_streets=True) for one in varied if STREETS in also]
    longer = [replace(one, name=one.name + MORE_ITERATIONS, longer=True) for one in varied if LONGER in also]
    return streets + longer
