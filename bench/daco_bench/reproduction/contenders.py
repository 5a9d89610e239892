"""Who is compared: the published methods, and what is tried beside them to explain their results."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from daco_core.errors import UsageError
from daco_training.loop.settings import PUBLISHED_BATCH_SIZE

METHODS = ("npid", "moco", "simsiam", "simclr", "daco")  # in the order of the published table
REMEMBERING = ("npid", "moco")  # whose negatives may be older copies of the image itself


@dataclass(frozen=True)
class Contender:
    """One line of the comparison.

    Args:
        name: what the tables call it.
        method: the training method.
        twins: which twins daco trains with; None for the methods that need none.
        mask_copies: whether older copies of an image are left out of its negatives.
        recipe: `published`, or `modern` for ours.
    """

    name: str
    method: str
    twins: str | None = None
    mask_copies: bool = False
    recipe: str = "published"

    @property
    def slug(self) -> str:
        """The name as a file name: `daco_fourier_twins`."""
        return re.sub(r"[^a-z0-9]+", "_", self.name.lower()).strip("_")


def find_contenders(
    methods: Sequence[str], twins: Sequence[str], also: Sequence[str] = ("masked", "ours")
) -> list[Contender]:
    """Everybody to train, the methods in the order given.

    Args:
        twins: of daco; the first ones are those of the contender that is called `daco`.
        also: `masked` for npid and moco with older copies masked, `ours` for every method with our own recipe.

    Raises:
        UsageError: there is no such method, or daco has no twins.
    """
    if unknown := [method for method in methods if method not in PUBLISHED_BATCH_SIZE]:
        raise UsageError(f"No method {unknown[0]!r}: choose {', '.join(METHODS)}.")
    if strange := [word for word in also if word not in ("masked", "ours")]:
        raise UsageError(f"Nothing is called {strange[0]!r} to train also: choose masked, ours.")
    if "daco" in methods and not twins:
        raise UsageError("daco needs twins: name some with --twins, such as night.")
    published = [Contender(method, method, twins[0] if method == "daco" else None) for method in methods]
    remembering = [one for one in methods if one in REMEMBERING and "masked" in also]
    variants = [Contender(f"{one}, copies masked", one, None, True) for one in remembering]
    if "daco" in methods:
        variants += [Contender(f"daco, {kind} twins", "daco", kind) for kind in twins[1:]]
    modern = [
        Contender(f"{one.method}, our recipe", one.method, one.twins, recipe="modern")
        for one in published
        if "ours" in also
    ]
    return published + variants + modern
