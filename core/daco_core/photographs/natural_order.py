"""The order in which people number files: `9.jpg` before `10.jpg`."""

import re


def natural_key(name: str) -> list[tuple[int, str]]:
    """A sort key for names in which each run of digits counts as a number."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"([0-9]+)", name)]
