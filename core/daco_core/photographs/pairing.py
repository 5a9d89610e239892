"""Which photographs of two domains show the same place: those of the same name, but for the domain's own word."""

from collections.abc import Iterable


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
