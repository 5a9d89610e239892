"""A map of hits and misses: queries that were located correctly, and the wrong matches of the others."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daco_bench.figures.figure import REFERENCE, RIGHT, WRONG, draw_lines, plain
from daco_bench.recall.retrieval import Retrieval
from daco_bench.recall.task import Task
from daco_core.errors import UsageError
from daco_core.figures import drawing, legend_below, plane_axes
from daco_core.photographs.distances import Places
from daco_core.photographs.locations import EARTH_RADIUS_METRES, PhotoLocation

PANEL = 5.0  # inches
LONGEST = 3.0  # largest ratio of a panel's sides

Points = NDArray[np.float64]
"""(n, 2): metres east and metres north of the centre."""


def task_locations(task: Task) -> dict[Path, PhotoLocation]:
    """The locations of all images.

    Raises:
        DacoError: some have no position.
    """
    located = task.locations()
    if missing := [image for image in task.images if image not in located]:
        raise UsageError(
            f"{len(missing)} of {len(task.images)} photographs have no position, for example {missing[0]}: a map needs"
            " the positions of all."
        )
    return located


def hit_map(answers: Sequence[Retrieval], asked: Sequence[Path], located: Mapping[Path, PhotoLocation]) -> Any:
    """A matplotlib figure with a panel for each method: queries in green or red, with lines to the wrong matches.

    Args:
        answers: in one direction.
        asked: the reference photographs, shown in grey.
        located: the locations of all.

    Raises:
        DacoError: matplotlib is not installed.
    """
    images = answers[0].images
    points = dict(zip(images, east_north([located[image] for image in images]), strict=True))
    references = np.array([points[image] for image in asked])
    # an area that is much wider than high is drawn in rows, one panel below the other
    wide, high = np.ptp(list(points.values()), axis=0)
    shape = float(np.clip((wide + 1) / (high + 1), 1 / LONGEST, LONGEST))
    rows, columns = (len(answers), 1) if shape > 1.5 else (1, len(answers))
    width, height = PANEL * max(shape, 0.8) ** 0.5, PANEL / shape**0.5
    figure = drawing()(figsize=(width * columns, height * rows + 0.8), layout="constrained")
    for number, one in enumerate(answers, start=1):
        axes = figure.add_subplot(rows, columns, number)
        axes.scatter(*references.T, s=34, color=REFERENCE, alpha=0.5, linewidths=0, label="references")
        _draw(axes, one, points)
        axes.grid(True, alpha=0.2)
    legend_below(figure, columns=4)
    return figure


def map_to_json(answers: Sequence[Retrieval], located: Mapping[Path, PhotoLocation]) -> list[dict[str, Any]]:
    """The map as plain values: for each query that counts, its position, its match, and the distance between them."""
    found = []
    for one in answers:
        for query in map(int, np.flatnonzero(one.answerable)):
            place, match = located[one.queries[query]], located[one.first(query)]
            off = Places([match]).metres_to(place)[0]
            found.append(
                {
                    "method": one.method,
                    "direction": one.direction,
                    "query": str(one.queries[query]),
                    "latitude": place.latitude,
                    "longitude": place.longitude,
                    "x": place.x,
                    "y": place.y,
                    "found": str(one.first(query)),
                    "right": bool(one.right[query, 0]),
                    "metres": round(float(off), 1),
                }
            )
    return found


def east_north(locations: Sequence[PhotoLocation]) -> Points:
    """Metres east and north of the centre of all, in the tangent plane of the earth, which suits an area of a city.

    If not all are on the earth, metres along the axes of their local frame.
    """
    places = Places(locations)
    if np.isnan(places.latitude).any():
        return np.stack([places.x - np.nanmean(places.x), places.y - np.nanmean(places.y)], axis=1)
    latitudes, longitudes = places.latitude, places.longitude
    longitudes = (longitudes - longitudes[0] + 180) % 360  # so that the date line does not divide an area
    middle = (latitudes.min() + latitudes.max()) / 2, (longitudes.min() + longitudes.max()) / 2
    east = np.radians(longitudes - middle[1]) * np.cos(np.radians(middle[0]))
    return EARTH_RADIUS_METRES * np.stack([east, np.radians(latitudes - middle[0])], axis=1)


def _draw(axes: Any, answers: Retrieval, points: Mapping[Path, Points]) -> None:
    places = np.array([points[query] for query in answers.queries])
    right = answers.answerable & answers.right[:, 0]
    wrong = answers.answerable & ~answers.right[:, 0]
    found = np.array([points[answers.first(query)] for query in range(len(places))])
    draw_lines(axes, found[wrong], places[wrong], WRONG)
    for name, colour, queries in (("right", RIGHT, right), ("wrong", WRONG, wrong)):
        axes.scatter(*places[queries].T, s=16, color=colour, linewidths=0, zorder=3, label=name)
    axes.plot([], [], color=WRONG, linewidth=0.8, label="to the wrong match")
    title = f"{plain(answers.method)}, {plain(answers.direction)}: {right.sum()} right, {wrong.sum()} wrong"
    plane_axes(axes, title, xlabel="metres east of the centre", ylabel="metres north")
