"""A discrete Bayes filter over the references of an index: frames in, a track out.

The belief is a probability for each of at most MOST_STATES references, for all other references together ("anywhere",
uniformly), and for not being on the map. A frame propagates it by the motion model and weights it by its similarities.

Sources: Thrun, Burgard, Fox, "Probabilistic Robotics", 2005, table 4.1 (discrete Bayes filter); Xu, Suenderhauf,
Milford, "Probabilistic Visual Place Recognition for Hierarchical Localization", RA-L 2021 (likelihood exp(s / T), the
state off the map); Rabiner, "A Tutorial on Hidden Markov Models", Proc. IEEE 1989, section III (forward-backward,
Viterbi).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from daco_core.photographs.coordinates import Position
from daco_core.photographs.locations import PLACE_METRES
from daco_core.photographs.plane import mean_heading
from daco_index.search.bundle import SearchMatch
from daco_serve.engine.answers import TrackStatus
from daco_serve.engine.tracking.motion import Motion, Odometry, Velocity
from daco_serve.engine.tracking.states import Rows, States

TEMPERATURE = 0.05  # difference in similarity that makes a reference e times as likely
# if references were compared cell by cell: the weight of the similarity, and that of a vote
COMPARED_SIMILARITY, COMPARED_VOTE = 0.5, 0.0015
MOST_STATES = 1000
LEAST_WEIGHT = 1e-9  # a state with a lower probability is merged into "anywhere"
PLACE_FRAMES = 3  # the same for references that have an order but no positions
RADIUS_SHARE = 0.68
LEAST_RADIUS = 5.0
TRACKING = 0.5  # probability of a place from which the status is `tracking`
CANDIDATES = 20  # the likeliest states, around each of which the probability of a place is computed
ELSEWHERE = 0.5  # prior probability of not being on the map in a frame's own calibration
FRESH = 0.3  # weight of the newest step in the velocity of a track
MOST_RATIO = 1e3  # largest likelihood ratio of a single frame for or against being on the map
PRIOR_WRONG = 0.01  # probability that the camera is outside the area of a frame's prior
MOST_REMEMBERED_BYTES = 256 * 2**20  # for the frames of one track; the oldest are dropped


@dataclass(frozen=True)
class FrameEvidence:
    """The evidence of one frame.

    Args:
        ids: (k,), the references most similar to it.
        similarities: (k,), their `likenesses`; all other references get the last of these values.
        on_map: the calibrated probability that its place is on the map; None without a calibration, or if the frame
            gives no such evidence.
        limited: whether only an area was searched; all references outside it are then unlikely.
    """

    ids: NDArray[np.int64]
    similarities: NDArray[np.float64]
    on_map: float | None = None
    limited: bool = False


def likenesses(matches: Sequence[SearchMatch]) -> NDArray[np.float64]:
    """The evidence of each match for its place, (k,): its similarity, and its votes if there are any.

    A vote weighs less than in the ranking of a single query, because consecutive frames make similar errors.
    """
    similarities = np.array([match.similarity for match in matches])
    if all(match.votes is None for match in matches):
        return similarities
    return COMPARED_SIMILARITY * similarities + COMPARED_VOTE * np.array([match.votes or 0.0 for match in matches])


@dataclass(frozen=True)
class TrackEstimate(Position):
    """The estimated position of the camera after a frame.

    Args:
        status: `tracking`: one place has most of the probability; `lost`: none does; `not_on_map`.
        probability: of that place (25 m around it, or 3 frames if there are no positions).
        not_on_map: probability of not being on this map.
        id, place: the likeliest reference there.
        uncertainty_metres: radius that contains 68 % of the probability on the map; None without positions.
        plane: metres in the plane of the states; None without positions.
    """

    status: TrackStatus
    probability: float
    not_on_map: float
    id: int | None = None
    place: str | None = None
    uncertainty_metres: float | None = None
    plane: tuple[float, float] | None = None


@dataclass(frozen=True)
class _Step:
    """One frame: the belief after it, and what the backward pass needs.

    Args:
        rows, weight: the states and their probabilities; together with `anywhere` and `off` they add up to 1.
        seen: (k,), positions in `rows` of the frame's references, if they were kept; -1 if not.
        likelihood: (len(rows),), of the frame at each state; `floor` for all other references, `off_likelihood` for
            not being on the map.
        source, target, chance: transitions from positions in the previous frame's rows to positions in `rows`.
        away: for each of the previous rows, the probability of having been carried anywhere.
    """

    rows: Rows
    weight: NDArray[np.float64]
    anywhere: float
    off: float
    seen: NDArray[np.int64]
    likelihood: NDArray[np.float64]
    floor: float
    off_likelihood: float
    source: NDArray[np.int64]
    target: NDArray[np.int64]
    chance: NDArray[np.float64]
    away: NDArray[np.float64]

    @property
    def size(self) -> int:
        """The size of its arrays in bytes."""
        return sum(part.nbytes for part in vars(self).values() if isinstance(part, np.ndarray))


class Tracker:
    """Follows one camera.

    Args:
        temperature: difference in similarity that makes a reference e times as likely.
        remember: keep the frames for `smoothed` and `best_path`: those of this generation of the index, as far as they
            fit into MOST_REMEMBERED_BYTES.
    """

    def __init__(
        self,
        states: States,
        motion: Motion | None = None,
        temperature: float = TEMPERATURE,
        remember: bool = False,
    ) -> None:
        self.states = states
        self.motion = motion or Motion()
        self._temperature = temperature
        self._remember = remember
        self._steps: deque[_Step] = deque()
        self._held = 0  # their size in bytes
        self._last: _Step | None = None
        self._velocity: Velocity | None = None
        self._before_last: TrackEstimate | None = None
        self._calibrated = False  # whether any frame so far had a calibrated probability of being on the map

    @property
    def states_held(self) -> int:
        """The number of references with a probability of their own."""
        return 0 if self._last is None else len(self._last.rows)

    def update(self, evidence: FrameEvidence, seconds: float = 1.0, odometry: Odometry | None = None) -> TrackEstimate:
        """Updates the belief with a frame.

        Args:
            seconds: since the previous frame.
            odometry: the measured motion since the previous frame.
        """
        step = self._step(evidence, seconds, odometry)
        self._last = step
        if self._remember:
            self._steps.append(step)
            self._held += step.size
            while self._held > MOST_REMEMBERED_BYTES:
                self._held -= self._steps.popleft().size
        estimate = self._estimate(step.rows, step.weight, step.anywhere, step.off)
        self._observe(estimate, seconds)
        return estimate

    def move_to(self, states: States) -> None:
        """Continues with another generation of the index: states are matched by the ids of their references."""
        if self._last is not None:
            known = np.isin(self.states.ids[self._last.rows], states.ids)
            rows = states.rows_of(self.states.ids[self._last.rows[known]])
            weight = self._last.weight[known]
            lost = float(self._last.weight[~known].sum())
            empty = np.empty(0, dtype=np.int64)
            self._last = _Step(
                rows,
                weight,
                self._last.anywhere + lost,
                self._last.off,
                seen=empty,
                likelihood=np.ones(len(rows)),
                floor=1.0,
                off_likelihood=1.0,
                source=empty,
                target=empty,
                chance=np.empty(0),
                away=np.empty(0),
            )
        self.states = states
        self._steps.clear()  # their rows no longer exist
        self._held = 0

    def smoothed(self) -> list[TrackEstimate]:
        """The estimates of all remembered frames from all of them together: forward-backward algorithm."""
        estimates: list[TrackEstimate] = []
        later: _Later | None = None
        for number in range(len(self._steps) - 1, -1, -1):
            step = self._steps[number]
            if later is None:
                later = _Later(np.ones(len(step.rows)), 1.0, 1.0)
            weight, anywhere, off = step.weight * later.rows, step.anywhere * later.anywhere, step.off * later.off
            total = weight.sum() + anywhere + off
            estimates.append(self._estimate(step.rows, weight / total, anywhere / total, off / total))
            if number:
                later = self._before(len(self._steps[number - 1].rows), step, later)
        return estimates[::-1]

    def best_path(self) -> list[int | None]:
        """The likeliest sequence of references (Viterbi), by id; None where it is off the map or anywhere.

        It covers the same frames as `smoothed`.
        """
        anywhere, off = -1, -2
        back: list[tuple[NDArray[np.int64], int, int]] = []
        score, score_anywhere, score_off = np.empty(0), 0.0, np.log(self.motion.leave)
        for step in self._steps:
            score, score_anywhere, score_off, origin = self._best_step(step, score, score_anywhere, score_off)
            back.append(origin)
        if not self._steps:
            return []
        ends = [float(score.max(initial=-np.inf)), score_anywhere, score_off]
        state = [int(score.argmax()) if len(score) else anywhere, anywhere, off][int(np.argmax(ends))]
        path: list[int | None] = []
        for step, (rows_from, anywhere_from, off_from) in zip(reversed(self._steps), reversed(back), strict=True):
            path.append(int(self.states.ids[step.rows[state]]) if state >= 0 else None)
            state = int(rows_from[state]) if state >= 0 else anywhere_from if state == anywhere else off_from
        return path[::-1]

    def _step(self, evidence: FrameEvidence, seconds: float, odometry: Odometry | None) -> _Step:
        states, motion = self.states, self.motion
        seen = states.rows_of(evidence.ids)
        before = self._last
        calibrated = self._calibrated = self._calibrated or evidence.on_map is not None
        leave, enter = (motion.leave, motion.enter) if calibrated else (0.0, 1.0)
        if before is None:
            source = target = np.empty(0, dtype=np.int64)
            chance = mass = away = np.empty(0)
            anywhere, off = (1 - ELSEWHERE, ELSEWHERE) if calibrated else (1.0, 0.0)
        else:
            source, target, chance = motion.transitions(states, before.rows, seconds, odometry, self._velocity)
            chance = chance * (1 - motion.jump - leave)
            mass = before.weight[source] * chance
            away = np.maximum(1 - leave - np.bincount(source, chance, minlength=len(before.rows)), motion.jump)
            anywhere = before.anywhere * (1 - leave) + before.off * enter + float(before.weight @ away)
            off = before.off * (1 - enter) + (1 - before.off) * leave
        rows, where = np.unique(np.concatenate([target, seen]), return_inverse=True)
        prior = np.bincount(where[: len(target)], mass, minlength=len(rows)).astype(np.float64)
        at = where[len(target) :]
        prior[at] += anywhere / states.count
        likelihood, floor, off_likelihood = self._likelihoods(evidence, len(rows), at, calibrated)
        weight = prior * likelihood
        rest = anywhere * (states.count - len(seen)) / states.count * floor
        lost = off * off_likelihood
        total = weight.sum() + rest + lost
        weight, rest, lost = weight / total, rest / total, lost / total
        kept = np.flatnonzero(weight > LEAST_WEIGHT)
        if len(kept) > MOST_STATES:
            kept = kept[np.argpartition(-weight[kept], MOST_STATES)[:MOST_STATES]]
        kept = kept[np.argsort(-weight[kept])]  # likeliest first, because the motion model may truncate the list
        place = np.full(len(rows), -1)
        place[kept] = np.arange(len(kept))
        rest += weight.sum() - weight[kept].sum()
        led = place[where[: len(target)]]
        stays = led >= 0
        return _Step(
            rows[kept],
            weight[kept],
            rest,
            lost,
            place[at],
            likelihood[kept],
            floor,
            off_likelihood,
            source[stays],
            led[stays],
            chance[stays],
            away,
        )

    def _observe(self, estimate: TrackEstimate, seconds: float) -> None:
        """Updates the velocity from the last two places of the track; a lost track has none."""
        last, self._before_last = self._before_last, estimate
        if estimate.status != "tracking" or estimate.plane is None:
            self._velocity = None
            return
        if last is None or last.status != "tracking" or last.plane is None or seconds <= 0:
            return
        now = (estimate.plane[0] - last.plane[0]) / seconds, (estimate.plane[1] - last.plane[1]) / seconds
        if np.hypot(*now) > 2 * self.motion.speed:  # a correction of the estimate, not a motion
            self._velocity = None
            return
        kept = self._velocity or now
        self._velocity = tuple((1 - FRESH) * old + FRESH * new for old, new in zip(kept, now, strict=True))  # type: ignore[assignment]

    def _likelihoods(
        self, evidence: FrameEvidence, count: int, at: NDArray[np.int64], calibrated: bool
    ) -> tuple[NDArray[np.float64], float, float]:
        """Likelihood at each row, at every other reference, and off the map: 1 by definition, 0 if not calibrated.

        exp(s / T), scaled so that its mean over the map is the likelihood ratio for being on the map, according to the
        frame's calibration; 1 for a frame without such evidence.
        """
        best = float(evidence.similarities.max())
        values = np.exp((evidence.similarities - best) / self._temperature)
        floor = float(values.min()) if len(values) < self.states.count else 0.0
        if evidence.limited:
            floor = min(floor, PRIOR_WRONG * float(values.mean()))
        mean = (values.sum() + (self.states.count - len(values)) * floor) / self.states.count
        ratio = 1.0
        if evidence.on_map is not None:
            chance = min(max(evidence.on_map, 1e-6), 1 - 1e-6)
            ratio = chance / (1 - chance) * ELSEWHERE / (1 - ELSEWHERE)
            ratio = min(max(ratio, 1 / MOST_RATIO), MOST_RATIO)
        likelihood = np.full(count, floor * ratio / mean)
        likelihood[at] = values * ratio / mean
        return likelihood, floor * ratio / mean, 1.0 if calibrated else 0.0

    def _before(self, count: int, step: _Step, later: "_Later") -> "_Later":
        """The backward pass: the likelihood of a frame and all later ones, given the states before it."""
        motion, states = self.motion, self.states
        value = step.likelihood * later.rows
        off = step.off_likelihood * later.off
        kept = step.seen[step.seen >= 0]
        rest = (states.count - len(step.seen)) / states.count * step.floor * later.anywhere
        spread = float(value[kept].sum()) / states.count + rest
        led = np.bincount(step.source, step.chance * value[step.target], minlength=count)
        rows: NDArray[np.float64] = np.asarray(led + step.away * spread + motion.leave * off, dtype=np.float64)
        anywhere = (1 - motion.leave) * spread + motion.leave * off
        outside = motion.enter * spread + (1 - motion.enter) * off
        most = max(float(rows.max(initial=0.0)), anywhere, outside, 1e-300)
        rows /= most
        return _Later(rows, anywhere / most, outside / most)

    def _best_step(
        self, step: _Step, score: NDArray[np.float64], anywhere: float, off: float
    ) -> tuple[NDArray[np.float64], float, float, tuple[NDArray[np.int64], int, int]]:
        """One Viterbi step in logarithms: the scores after it, and where each came from (-1 anywhere, -2 off)."""
        motion, count = self.motion, self.states.count
        from_rows = int(score.argmax()) if len(score) else -1
        best_row = float(score[from_rows]) if len(score) else -np.inf
        carried = score + np.log(step.away) if len(score) else score
        carried_from = int(carried.argmax()) if len(score) else -1
        arrivals = [  # of "anywhere", before it is known where
            (anywhere + np.log1p(-motion.leave), -1),
            (float(carried[carried_from]) if len(score) else -np.inf, carried_from),
            (off + np.log(motion.enter), -2),
        ]
        begun, origin = max(arrivals, key=lambda arrival: arrival[0])
        fresh = np.full(len(step.rows), -np.inf)
        came = np.full(len(step.rows), origin, dtype=np.int64)
        kept = step.seen[step.seen >= 0]
        fresh[kept] = begun - np.log(count)
        moved = np.full(len(step.rows), -np.inf)
        if len(step.source) and len(score):  # the first remembered frame may not be the first of all
            chance = score[step.source] + np.log(np.maximum(step.chance, 1e-300))
            order = np.lexsort((chance, step.target))
            last = np.flatnonzero(np.diff(step.target[order], append=-1))
            moved[step.target[order[last]]] = chance[order[last]]
            better = moved > fresh
            winners = np.full(len(step.rows), origin, dtype=np.int64)
            winners[step.target[order[last]]] = step.source[order[last]]
            came = np.where(better, winners, came)
        with np.errstate(divide="ignore"):
            scores = np.maximum(fresh, moved) + np.log(step.likelihood)
            next_anywhere = begun + float(np.log(step.floor)) - (0.0 if len(step.seen) < count else np.inf)
            left_likelihood = float(np.log(step.off_likelihood))
        departures = [
            (off + np.log1p(-motion.enter), -2),
            (best_row + np.log(motion.leave), from_rows),
            (anywhere + np.log(motion.leave), -1),
        ]
        left, off_from = max(departures, key=lambda arrival: arrival[0])
        next_off = left + left_likelihood
        return scores, float(next_anywhere), float(next_off), (came, origin, off_from)

    def _estimate(self, rows: Rows, weight: NDArray[np.float64], anywhere: float, off: float) -> TrackEstimate:
        states = self.states
        if not len(rows) or weight.sum() <= 0:
            return TrackEstimate("not_on_map" if off >= TRACKING else "lost", 0.0, round(float(off), 4))
        seeds = np.argsort(-weight)[:CANDIDATES]
        together = self._together(rows[seeds], rows)
        held = together @ weight
        seed = int(held.argmax())
        members = np.flatnonzero(together[seed])
        probability = float(held[seed])
        best = int(rows[members[weight[members].argmax()]])
        status: TrackStatus = "not_on_map" if off >= TRACKING else "tracking" if probability >= TRACKING else "lost"
        found = TrackEstimate(
            status, round(probability, 4), round(float(off), 4), int(states.ids[best]), states.places[best]
        )
        if np.isnan(states.east[best]):
            return found
        members = members[~np.isnan(states.east[rows[members]])]
        share = weight[members] / weight[members].sum()
        east, north = float(share @ states.east[rows[members]]), float(share @ states.north[rows[members]])
        latitude = longitude = None
        if not states.worlds[best]:
            latitude, longitude = (round(degrees, 7) for degrees in states.degrees(east, north))
        frame = states.frames[best]
        inside = np.array([states.frames[row] == frame for row in rows[members].tolist()])
        x, y, z = (_known_mean(states.local[rows[members], axis], share * inside) for axis in range(3))
        return replace(
            found,
            latitude=latitude,
            longitude=longitude,
            heading=mean_heading(states.heading[rows[members]], share),
            uncertainty_metres=self._radius(rows, weight, anywhere, east, north, best),
            altitude=_known_mean(states.altitude[rows[members]], share),
            x=x,
            y=y,
            z=z,
            floor=states.floors[best],
            frame=frame,
            plane=(east, north),
        )

    def _together(self, rows: Rows, others: Rows) -> NDArray[np.bool_]:
        """Which references show the same place: (len(rows), len(others))."""
        states = self.states
        if not states.has_positions:
            near: NDArray[np.bool_] = np.abs(states.rank[rows, None] - states.rank[others][None]) <= PLACE_FRAMES
            return near
        away = np.hypot(
            states.east[rows, None] - states.east[others][None], states.north[rows, None] - states.north[others][None]
        )
        same: NDArray[np.bool_] = (away <= PLACE_METRES) | (rows[:, None] == others[None])
        return same

    def _radius(
        self, rows: Rows, weight: NDArray[np.float64], anywhere: float, east: float, north: float, best: int
    ) -> float | None:
        """The radius in metres around a point that contains 68 % of the probability on the map."""
        states = self.states
        away = np.hypot(states.east[rows] - east, states.north[rows] - north)
        away[states.worlds[rows] != states.worlds[best]] = np.nan
        order = np.argsort(away)  # unknown distances come last
        reached = np.cumsum(weight[order]) >= RADIUS_SHARE * (weight.sum() + anywhere)
        if reached.any() and np.isfinite(away[order[reached.argmax()]]):
            return round(max(LEAST_RADIUS, float(away[order[reached.argmax()]])), 1)
        west, east_most, south, north_most = states.bounds(best)
        extent = float(np.hypot(max(east - west, east_most - east), max(north - south, north_most - north)))
        return round(extent, 1)


@dataclass(frozen=True)
class _Later:
    """Likelihood of all later frames, given each state, anywhere and off the map; up to a common factor."""

    rows: NDArray[np.float64]
    anywhere: float
    off: float


def _known_mean(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float | None:
    """The weighted mean of the known values; None if there are none."""
    known = ~np.isnan(values) & (weights > 0)
    if not known.any():
        return None
    return round(float(weights[known] @ values[known] / weights[known].sum()), 3)
