"""Which photographs of two domains show the same place: those of the same name, but for the domain's own word."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from daco_core.photographs.natural_order import natural_key


def pair_keys(names: Iterable[str]) -> dict[str, str]:
    """What pairs a photograph to its file name, for the names of one domain.

    The key is the name without its suffix, and without a first word that all of the domain bear: `00001` for
    `day_00001.jpg` where every name begins with `day_`, as the night's do with `night_`.
    """
    listed = list(names)
    stems = {name: name.rpartition(".")[0] or name for name in listed}
    words = {stem.partition("_")[0] if "_" in stem else "" for stem in stems.values()}
    word = next(iter(words)) if len(words) == 1 else ""
    if not word.isalpha():
        return {stem: name for name, stem in stems.items()}
    return {stem.removeprefix(f"{word}_"): name for name, stem in stems.items()}


def pair_by_name(one: Sequence[Path], other: Sequence[Path]) -> list[tuple[Path, Path]] | None:
    """The photographs of two folders by twos of the same name, in the natural order of the names; None if they differ.

    Files that differ in their suffix alone, such as `1.jpg` and `1.png` of one folder, have no partner.
    """
    sides = [{image.name: image for image in images} for images in (one, other)]
    keys = [pair_keys(side) for side in sides]
    if keys[0].keys() != keys[1].keys() or not len(keys[0]) == len(one) == len(other):
        return None
    return [(sides[0][keys[0][key]], sides[1][keys[1][key]]) for key in sorted(keys[0], key=natural_key)]
