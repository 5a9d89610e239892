"""Warns about positions that look wrong. They are used unchanged."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from daco_core.photographs.distances import Places
from daco_core.photographs.locations import PhotoLocation, distance_metres

FAR_METRES = 1_000_000.0  # from the median position; no walk and no city is that large
NEAR_METRES = 100_000.0  # from the median position, once latitude and longitude are swapped
NULL_METRES = 1.0  # around latitude 0, longitude 0


def check_plausibility(located: Sequence[tuple[Path, PhotoLocation]]) -> list[str]:
    """Warnings about positions at 0, 0, and about positions whose coordinates are probably swapped."""
    places = Places([location for _, location in located])
    earth = np.flatnonzero(~np.isnan(places.latitude))
    latitude, longitude = places.latitude[earth], places.longitude[earth]
    notes = []
    nowhere = distance_metres(latitude, longitude, 0.0, 0.0) <= NULL_METRES
    if nowhere.any():
        first = located[int(earth[nowhere.argmax()])][0].name
        notes.append(
            f"{nowhere.sum()} of {len(located)} positions are latitude 0, longitude 0, which devices without a GPS fix"
            f" write, for example that of {first}. They are used unchanged."
        )
    rest = ~nowhere
    if rest.sum() >= 3:
        middle = float(np.median(latitude[rest])), float(np.median(longitude[rest]))
        far = distance_metres(latitude, longitude, *middle) > FAR_METRES
        mirrored = np.abs(longitude) <= 90
        mirrored[mirrored] = distance_metres(longitude[mirrored], latitude[mirrored], *middle) < NEAR_METRES
        swapped = rest & far & mirrored
        if swapped.any():
            first = located[int(earth[swapped.argmax()])][0].name
            notes.append(
                f"{swapped.sum()} of {len(located)} positions would lie among the others if latitude and longitude were"
                f" swapped, for example that of {first}. They are used unchanged."
            )
    return notes
