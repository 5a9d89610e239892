"""Pairs the photographs of two domains by file name, ignoring a prefix that names the domain."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from daco_core.photographs.natural_order import natural_key


def pair_keys(names: Iterable[str]) -> dict[str, str]:
    """Maps the key that identifies a pair to the file name, for the names of one domain.

    The key is the name without its suffix, and without a first word that all names of the domain share: `00001` for
    `day_00001.jpg` if every name begins with `day_`, as those of the night domain do with `night_`.
    """
    listed = list(names)
    stems = {name: name.rpartition(".")[0] or name for name in listed}
    words = {stem.partition("_")[0] if "_" in stem else "" for stem in stems.values()}
    word = next(iter(words)) if len(words) == 1 else ""
    if not word.isalpha():
        return {stem: name for name, stem in stems.items()}
    return {stem.removeprefix(f"{word}_"): name for name, stem in stems.items()}


def pair_by_name(one: Sequence[Path], other: Sequence[Path]) -> list[tuple[Path, Path]] | None:
    """Pairs the photographs of two folders by name, in natural order; None if the two sets of names differ.

    Files of one folder that differ only in their suffix, such as `1.jpg` and `1.png`, are not paired.
    """
    sides = [{image.name: image for image in images} for images in (one, other)]
    keys = [pair_keys(side) for side in sides]
    if keys[0].keys() != keys[1].keys() or not len(keys[0]) == len(one) == len(other):
        return None
    return [(sides[0][keys[0][key]], sides[1][keys[1][key]]) for key in sorted(keys[0], key=natural_key)]
