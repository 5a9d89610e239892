"""Recall on a sequence of frames: single frames, an average over a window, the filter, and the smoothed filter."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_bench.indexed_queries import IndexedQueries
from daco_core.errors import UsageError
from daco_core.photographs.distances import Places, is_placed
from daco_core.photographs.locations import PLACE_METRES
from daco_core.photographs.natural_order import natural_key
from daco_index.references.find import Reference
from daco_index.reranking import CANDIDATES as COMPARED
from daco_index.search.catalog import Entry
from daco_index.search.query_set import Query, predict
from daco_serve.engine.tracking import FrameEvidence, Motion, States, Tracker, TrackEstimate
from daco_serve.engine.tracking.filter import likenesses
from daco_serve.engine.tracking.session import CANDIDATES

WINDOW = 10  # frames that are averaged, and after which the filter is evaluated
SLOPES = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0)  # references per frame: the speeds that the average tries
STARTS = 20  # unknown starts, evenly spread over the ride
CARRIED = 20  # number of times that the camera is carried elsewhere
GAP_METRES = 100.0  # a larger distance between two frames means that another ride begins
RECOVERY = 10  # frames after which the camera should be found again

METHODS = ("single frame", "average of 10 frames", "filter", "filter, smoothed")

USUAL_MOTION = Motion()

Answer = NDArray[np.int64]


@dataclass(frozen=True)
class SequenceReport:
    """The results of a ride; shares from 0 to 1.

    Args:
        frames: number of frames.
        right: by method, the share of frames that are placed right.
        settled: the same without the first WINDOW frames.
        by_length: for the filter, the share right after 1, 2, ... WINDOW frames from an unknown start.
        frames_until_found: the median number of frames from an unknown start until the right place has most of the
            probability.
        lost: share of frames, after the first WINDOW, for which the filter's status is `lost`.
        recovered: share of cases in which it is right RECOVERY frames after the camera was moved elsewhere.
        dropped: for the filter, the share right if two of three frames are dropped.
    """

    frames: int
    right: dict[str, float]
    settled: dict[str, float]
    by_length: list[float]
    frames_until_found: float
    lost: float
    recovered: float
    dropped: float

    def as_dict(self) -> dict[str, object]:
        """The report in JSON form."""
        return asdict(self)


def open_ride(
    ridden: IndexedQueries,
    motion: Motion = USUAL_MOTION,
    frames: int | None = None,
    every: int = 1,
    progress: bool = True,
) -> "Ride":
    """Looks up a ride, frame by frame; or several rides, separated by gaps of more than GAP_METRES.

    Args:
        ridden: the frames, in the natural order of their names, and the index of the references, which are also a ride.
        motion: of the camera; `step_seconds` are between two frames that are used.
        frames: a frame is right within this many references of the one with its own number; None: within 25 m of its
            position.
        every: use every n-th frame.

    Raises:
        DacoError: there is no index, a required position is missing, or there are fewer than twice WINDOW frames.
    """
    bundle, engine, truths = ridden.open()
    asked = [Query(Path(truth.path), str(truth.path)) for truth in truths]
    predictions = list(predict(bundle, engine, asked, bundle.store.count, COMPARED, progress=progress))
    ride_order = sorted(range(len(truths)), key=lambda number: natural_key(str(truths[number].path)))
    rank = {number: place for place, number in enumerate(ride_order)}  # includes frames that cannot be read
    order = [number for number in ride_order if predictions[number].unreadable is None]
    numbers = np.array([rank[number] for number in order])
    truths = [truths[number] for number in order]
    begins = _begins(truths)
    used = np.concatenate([part[::every] for part in np.split(np.arange(len(truths)), begins[1:])])
    begins = [int(np.searchsorted(used, begin)) for begin in begins]
    order, numbers, truths = [order[row] for row in used], numbers[used], [truths[row] for row in used]
    if len(truths) < 2 * WINDOW:
        raise UsageError(f"{ridden.queries} has {len(truths)} readable frames; a ride needs {2 * WINDOW}.")
    references = bundle.catalog.all()
    states = States(references)
    column = {number: at for at, number in enumerate(states.ids.tolist())}
    similarity = np.full((len(order), len(column)), -1.0, dtype=np.float32)
    for row, number in zip(similarity, order, strict=True):
        matches = predictions[number].matches
        row[[column[match.entry.id] for match in matches]] = likenesses(matches)
    return Ride(
        states,
        similarity,
        _right(states, references, truths, numbers, frames),
        motion,
        tuple(begins),
        tuple(Path(truth.path) for truth in truths),
        tuple(Path(entry.path) for entry in references),
    )


def _begins(truths: Sequence[Reference]) -> list[int]:
    """The frames at which a ride begins."""
    if not all(map(is_placed, truths)):
        return [0]
    places = Places(truths)
    apart = places.metres(np.arange(len(truths)), places)
    return [0, *(number for number in range(1, len(truths)) if apart[number - 1, number] > GAP_METRES)]


def _right(
    states: States,
    references: Sequence[Entry],
    truths: Sequence[Reference],
    numbers: NDArray[np.int64],
    frames: int | None,
) -> NDArray[np.bool_]:
    """Which references are right for which frame: (frames, references); `numbers` are those of the frames."""
    if frames is not None:
        order: NDArray[np.bool_] = np.abs(states.rank[None] - numbers[:, None]) <= frames
        return order
    if not states.has_positions or not all(map(is_placed, truths)):
        raise UsageError("Frames or references have no positions: give --frames, the largest difference of a match.")
    return Places(truths).metres(np.arange(len(truths)), Places(references)) <= PLACE_METRES


@dataclass(frozen=True)
class Ride:
    """The similarities between frames and references.

    Args:
        similarity: (frames, references), in the order of `states`: the `likenesses` that the filter uses.
        right: (frames, references), whether the reference is right.
        begins: frames at which a ride begins; no method uses information from an earlier ride.
        frame_files, reference_files: the photographs, for a picture.
    """

    states: States
    similarity: NDArray[np.float32]
    right: NDArray[np.bool_]
    motion: Motion
    begins: tuple[int, ...] = (0,)
    frame_files: tuple[Path, ...] = ()
    reference_files: tuple[Path, ...] = ()

    def report(self) -> SequenceReport:
        """The results of all methods."""
        every = np.arange(len(self.similarity))
        settled = np.concatenate([part[WINDOW:] for part in self.parts(every)])
        answers = dict(zip(METHODS, (self.single(), self.average(), *self.filtered(every)), strict=True))
        starts = self._starts()
        found = [
            self._found(every[start : start + WINDOW])
            for start in starts[np.linspace(0, len(starts) - 1, STARTS).astype(int)].tolist()
        ]
        third = np.concatenate([part[::3] for part in self.parts(every)])
        answer, _ = self.filtered(third, self.motion.step_seconds * 3)
        after = np.concatenate([np.arange(len(part)) >= WINDOW // 3 for part in self.parts(third)])
        return SequenceReport(
            frames=len(every),
            right={name: self._share(answer, every) for name, answer in answers.items()},
            settled={name: self._share(answer[settled], settled) for name, answer in answers.items()},
            by_length=[float(np.mean([row[length] for row, _ in found])) for length in range(WINDOW)],
            frames_until_found=float(np.median([first for _, first in found])),
            lost=self._lost(every),
            recovered=self._recovered(),
            dropped=self._share(answer[after], third[after]),
        )

    def parts(self, frames: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The frames of each ride."""
        return np.split(frames, np.searchsorted(frames, self.begins[1:]))

    def _starts(self) -> NDArray[np.int64]:
        """All frames that are followed by WINDOW frames of the same ride."""
        parts = self.parts(np.arange(len(self.similarity)))
        return np.concatenate([part[: max(0, len(part) - WINDOW + 1)] for part in parts])

    def single(self) -> Answer:
        """The most similar reference of each frame."""
        rows: Answer = self.similarity.argmax(axis=1)
        return rows

    def average(self) -> Answer:
        """The reference at the end of the straight line with the highest similarity over the last WINDOW frames.

        Source: Milford and Wyeth, "SeqSLAM", ICRA 2012, section III-B, without its normalisation.
        """
        in_order = self.states.in_order
        ordered = self.similarity[:, in_order]
        frames, count = ordered.shape
        ends = np.arange(count)
        answers = []
        for frame in range(frames):
            begin = self.begins[int(np.searchsorted(self.begins, frame, "right")) - 1]
            back = np.arange(min(WINDOW, frame - begin + 1))
            best = np.full(count, -np.inf)
            for slope in SLOPES:
                rows = np.rint(ends[:, None] - slope * back[None]).astype(int)
                inside = (rows >= 0) & (rows < count)
                values = np.where(inside, ordered[frame - back[None], np.clip(rows, 0, count - 1)], 0.0)
                best = np.maximum(best, values.sum(axis=1) / len(back))
            answers.append(in_order[int(best.argmax())])
        return np.array(answers)

    def filtered(self, frames: NDArray[np.int64], seconds: float | None = None) -> tuple[Answer, Answer]:
        """The likeliest reference of each frame, from the frames up to it and from all frames."""
        forward: list[int | None] = []
        smoothed: list[int | None] = []
        for part in self.parts(frames):
            tracker = Tracker(self.states, self.motion, remember=True)
            forward += [self._update(tracker, frame, seconds).id for frame in part.tolist()]
            smoothed += [estimate.id for estimate in tracker.smoothed()]
        return self._rows(forward), self._rows(smoothed)

    def _update(self, tracker: Tracker, frame: int, seconds: float | None = None) -> TrackEstimate:
        row = self.similarity[frame]
        order = np.argsort(-row)[:CANDIDATES]
        evidence = FrameEvidence(self.states.ids[order], row[order].astype(np.float64))
        return tracker.update(evidence, self.motion.step_seconds if seconds is None else seconds)

    def _found(self, frames: NDArray[np.int64]) -> tuple[list[bool], int]:
        """Whether each frame from an unknown start is right, and after how many frames the right place is found."""
        tracker = Tracker(self.states, self.motion)
        right, first = [], len(frames) + 1
        for number, frame in enumerate(frames.tolist(), start=1):
            estimate = self._update(tracker, frame)
            right.append(self._is_right(estimate.id, frame))
            if right[-1] and estimate.status == "tracking":
                first = min(first, number)
        return right, first

    def _lost(self, frames: NDArray[np.int64]) -> float:
        states: list[str] = []
        for part in self.parts(frames):
            tracker = Tracker(self.states, self.motion)
            states += [self._update(tracker, frame).status for frame in part.tolist()][WINDOW:]
        return float(np.mean([status == "lost" for status in states]))

    def _recovered(self) -> float:
        """How often a track of WINDOW frames is right RECOVERY frames after the camera was moved elsewhere."""
        starts = self._starts()
        half = len(starts) // 2
        found = []
        for number in np.linspace(0, len(starts) - half - 1, CARRIED).astype(int).tolist():
            tracker = Tracker(self.states, self.motion)
            for frame in range(starts[number], starts[number] + WINDOW):
                self._update(tracker, frame)
            there = int(starts[number + half])
            for frame in range(there, there + RECOVERY):
                last = self._update(tracker, frame).id
            found.append(self._is_right(last, there + RECOVERY - 1))
        return float(np.mean(found))

    def _rows(self, ids: Sequence[int | None]) -> Answer:
        known = np.array([-1 if number is None else number for number in ids], dtype=np.int64)
        rows = np.full(len(known), -1)
        rows[known >= 0] = self.states.rows_of(known[known >= 0])
        return rows

    def _is_right(self, number: int | None, frame: int) -> bool:
        return number is not None and bool(self.right[frame, self.states.rows_of(np.array([number]))[0]])

    def _share(self, answer: Answer, frames: NDArray[np.int64]) -> float:
        return float((self.right[frames, answer] & (answer >= 0)).mean())


def lines(report: SequenceReport, percent: Callable[[float], str] = "{:.0%}".format) -> list[list[str]]:
    """The table of methods: name, share right, share right after the first WINDOW frames."""
    return [[name, percent(report.right[name]), percent(report.settled[name])] for name in METHODS]
