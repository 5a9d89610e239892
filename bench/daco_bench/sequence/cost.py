"""The cost of a track's frame in addition to its query, on a map with many references."""

import time
from dataclasses import asdict, dataclass

import numpy as np

from daco_core.photographs.plane import degrees_from
from daco_index.search.catalog import Entry
from daco_serve.engine.tracking import FrameEvidence, Motion, States, Tracker
from daco_serve.engine.tracking.session import CANDIDATES

SPACING = 10.0  # metres between two references in a street
STREETS = 50.0  # metres between two streets
STREET = 1000  # references in a street
PLACE = (35.0, 139.0)


@dataclass(frozen=True)
class CostReport:
    """Milliseconds of one thread for each frame, without the query itself."""

    references: int
    frames: int
    median_ms: float
    p95_ms: float
    most_states: int

    def as_dict(self) -> dict[str, object]:
        """The report in JSON form."""
        return asdict(self)


def measure_cost(references: int, frames: int, speed: float = 10.0, seed: int = 0) -> CostReport:
    """Drives a camera along a street of a synthetic city and times the filter.

    Each frame names CANDIDATES references: those around the camera, and similar-looking ones all over the city.

    Args:
        references: number of references on the map: parallel streets, STREETS metres apart.
        speed: metres per second, with one frame per second.
    """
    states = States([_entry(number) for number in range(references)])
    rng = np.random.default_rng(seed)
    tracker = Tracker(states, Motion())
    begin = references // 2
    costs, most = [], 0
    for frame in range(frames):
        here = min(begin + round(frame * speed / SPACING), references - 1)
        near = np.clip(np.arange(here - 3, here + 4), 0, references - 1)
        ids = np.unique(np.concatenate([near, rng.integers(0, references, CANDIDATES - len(near))]))
        similarities = 0.5 + 0.1 * rng.random(len(ids)) + 0.15 * np.exp(-((ids - here) ** 2) / 8.0)
        order = np.argsort(-similarities)
        evidence = FrameEvidence(ids[order], similarities[order], on_map=0.9)
        start = time.thread_time()
        tracker.update(evidence, 1.0)
        costs.append(1000 * (time.thread_time() - start))
        most = max(most, tracker.states_held)
    settled = costs[1:] or costs  # without the first frame, which sorts the map into a grid
    return CostReport(
        references, frames, round(float(np.median(settled)), 3), round(float(np.percentile(settled, 95)), 3), most
    )


def _entry(number: int) -> Entry:
    street, along = divmod(number, STREET)
    latitude, longitude = degrees_from(PLACE, street * STREETS, along * SPACING)
    return Entry(number, f"{number:07d}.jpg", str(number), latitude, longitude, 0.0, 1, 1, "")
