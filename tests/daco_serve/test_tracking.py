"""The filter accumulates evidence, follows motion, and recognises being lost or off the map."""

import math
import time

import numpy as np
import pytest
from numpy.typing import NDArray

from daco_index.search.bundle import SearchMatch
from daco_index.search.catalog import Entry
from daco_serve.engine.tracking import FrameEvidence, Motion, Odometry, States, Tracker
from daco_serve.engine.tracking.filter import COMPARED_SIMILARITY, COMPARED_VOTE, likenesses

METRE = 1 / 111194.93  # degrees of latitude


def street(count: int, metres: float | None = 10.0, heading: float | None = 0.0) -> States:
    """References along a street to the north; without `metres` they have no positions, but an order."""
    return States(
        [
            Entry(
                id=100 + number,
                path=f"/ride/{number}.jpg",  # so that only a natural order is right
                place=f"place {number}",
                latitude=None if metres is None else 35 + number * metres * METRE,
                longitude=None if metres is None else 139.0,
                heading=None if metres is None else heading,
                width=1,
                height=1,
                sha256="",
            )
            for number in range(count)
        ]
    )


def frame(
    count: int, *likely: int, similarity: float = 0.8, others: float = 0.5, on_map: float | None = None
) -> FrameEvidence:
    """A frame to which some places are similar, and all others less."""
    similarities = np.full(count, others)
    similarities[list(likely)] = similarity
    order = np.argsort(-similarities, kind="stable")
    return FrameEvidence(100 + order, similarities[order], on_map)


def position(estimate_latitude: float | None) -> float:
    assert estimate_latitude is not None
    return (estimate_latitude - 35) / METRE


@pytest.mark.parametrize("metres", [10.0, None])
def test_consecutive_frames_distinguish_two_similar_streets(metres: float | None) -> None:
    # each frame alone fits two places equally; only one of them moves as a camera does
    tracker = Tracker(street(60, metres), Motion(speed=15))
    decoys = [50, 20, 41, 5, 33, 58, 12, 27]
    for number, decoy in enumerate(decoys):
        estimate = tracker.update(frame(60, number + 2, decoy))
    assert estimate.status == "tracking"
    assert estimate.place == "place 9"
    assert estimate.probability > 0.9


def test_a_single_wrong_frame_does_not_mislead_a_track() -> None:
    tracker = Tracker(street(60), Motion(speed=15))
    for number in range(8):
        tracker.update(frame(60, number))
    estimate = tracker.update(frame(60, 50, similarity=0.7, others=0.6))
    assert position(estimate.latitude) == pytest.approx(80, abs=15)


def test_a_camera_that_was_moved_elsewhere_is_located_within_ten_frames() -> None:
    tracker = Tracker(street(60), Motion(speed=15))
    for number in range(8):
        tracker.update(frame(60, number))
    found = [tracker.update(frame(60, 40 + number)) for number in range(10)]
    assert position(found[-1].latitude) == pytest.approx(490, abs=15)
    assert found[-1].status == "tracking"


def test_the_speed_limit_excludes_references_that_are_too_far() -> None:
    slow = Tracker(street(60), Motion(speed=2))
    slow.update(frame(60, 10, similarity=1.0))
    estimate = slow.update(frame(60, 16, similarity=0.7, others=0.6))  # 60 m in a second
    assert position(estimate.latitude) == pytest.approx(100, abs=20)


def test_odometry_decides_if_frames_are_not_informative() -> None:
    tracker = Tracker(street(60))
    tracker.update(frame(60, 10, similarity=1.2))
    for _ in range(3):
        estimate = tracker.update(frame(60), odometry=Odometry(forward=20.0, deviation_metres=1.0))
    assert position(estimate.latitude) == pytest.approx(160, abs=10)  # heading 0 is to the north
    backwards = Tracker(street(60, heading=180.0))
    backwards.update(frame(60, 10, similarity=1.2))
    for _ in range(3):
        estimate = backwards.update(frame(60), odometry=Odometry(forward=20.0, deviation_metres=1.0))
    assert position(estimate.latitude) == pytest.approx(40, abs=10)


def test_dropped_frames_allow_more_steps_along_a_sequence() -> None:
    tracker = Tracker(street(60, None))
    for number in range(0, 30, 3):  # every third frame, and on each a decoy
        estimate = tracker.update(frame(60, number, 59 - 2 * number), seconds=3.0)
    assert estimate.place == "place 27"
    assert estimate.status == "tracking"


def test_leaving_the_map_and_returning_is_reported() -> None:
    tracker = Tracker(street(60))
    on = [tracker.update(frame(60, number, on_map=0.95)) for number in range(5)]
    off = [tracker.update(frame(60, others=0.3, on_map=0.03)) for _ in range(6)]
    back = [tracker.update(frame(60, 30 + number, on_map=0.95)) for number in range(6)]
    assert on[-1].status == "tracking"
    assert off[-1].status == "not_on_map"
    assert back[-1].status == "tracking"
    assert position(back[-1].latitude) == pytest.approx(350, abs=15)


def test_without_a_calibration_the_status_is_lost_and_never_not_on_map() -> None:
    tracker = Tracker(street(60))
    for _ in range(5):
        estimate = tracker.update(frame(60))
    assert estimate.status == "lost"
    assert estimate.not_on_map == 0
    assert estimate.uncertainty_metres is not None and estimate.uncertainty_metres > 100


def test_the_radius_shrinks_as_frames_agree() -> None:
    tracker = Tracker(street(200), Motion(speed=5))
    radii = [tracker.update(frame(200, number, similarity=0.65)).uncertainty_metres for number in range(12)]
    assert all(radius is not None for radius in radii)
    assert radii[-1] is not None and radii[0] is not None and radii[-1] < radii[0] / 4


def dense(
    states: States, similarities: NDArray[np.float64], motion: Motion, temperature: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], list[int]]:
    """Filter, forward-backward and Viterbi over all states at once, written from the formulas; no state off the map."""
    count = states.count
    every = np.arange(count)
    source, target, chance = motion.transitions(states, every, 1.0)
    move = np.zeros((count, count))
    move[source, target] = chance * (1 - motion.jump)
    move += (1 - move.sum(axis=1, keepdims=True)) / count  # carried elsewhere, or beyond the ends of the sequence
    likelihood = np.exp(similarities / temperature)
    forward = [likelihood[0] / likelihood[0].sum()]
    score, back = np.log(forward[0]), []
    for row in likelihood[1:]:
        after = (forward[-1] @ move) * row
        forward.append(after / after.sum())
        options = score[:, None] + np.log(move)
        back.append(options.argmax(axis=0))
        score = options.max(axis=0) + np.log(row)
    later, smoothed = np.ones(count), [forward[-1]]
    for number in range(len(likelihood) - 2, -1, -1):
        later = move @ (likelihood[number + 1] * later)
        later /= later.sum()
        both = forward[number] * later
        smoothed.append(both / both.sum())
    path = [int(score.argmax())]
    for origin in reversed(back):
        path.append(int(origin[path[-1]]))
    return np.array(forward), np.array(smoothed[::-1]), path[::-1]


def test_filter_smoother_and_best_path_equal_the_dense_formulas() -> None:
    states = street(30, None)
    random = np.random.default_rng(3)
    similarities = random.normal(0.5, 0.08, (12, 30))
    similarities[np.arange(12), np.arange(12) + 4] += 0.1
    motion = Motion(jump=1e-3)
    forward, smoothed, path = dense(states, similarities, motion, 0.05)
    tracker = Tracker(states, motion, remember=True)
    for row, expected in zip(similarities, forward, strict=True):
        order = np.argsort(-row)
        estimate = tracker.update(FrameEvidence(100 + order, row[order]))
        held = [expected[max(0, at - 3) : at + 4].sum() for at in np.argsort(-expected)[:20]]
        assert estimate.probability == pytest.approx(max(held), abs=2e-3)
    for estimate, expected in zip(tracker.smoothed(), smoothed, strict=True):
        held = [expected[max(0, at - 3) : at + 4].sum() for at in np.argsort(-expected)[:20]]
        assert estimate.probability == pytest.approx(max(held), abs=2e-3)
    assert tracker.best_path() == [100 + row for row in path]


def test_neighbours_are_the_references_within_the_radius() -> None:
    random = np.random.default_rng(0)
    entries = [
        Entry(number, f"{number}", "", 35 + east * METRE, 139 + north * METRE, None, 1, 1, "")
        for number, (east, north) in enumerate(random.uniform(0, 2000, (800, 2)))
    ]
    states = States(entries)
    rows = np.arange(0, 800, 7)
    for metres in (3.0, 24.0, 26.0, 140.0):
        source, target = states.within(rows, metres)
        found = set(zip(rows[source].tolist(), target.tolist(), strict=True))
        away = np.hypot(states.east[rows, None] - states.east, states.north[rows, None] - states.north)
        expected = {(int(rows[one]), int(other)) for one, other in np.argwhere(away <= metres)}
        assert found == expected


def test_a_track_survives_a_new_generation_of_the_index() -> None:
    tracker = Tracker(street(60), Motion(speed=15))
    for number in range(6):
        tracker.update(frame(60, number))
    more = street(80)
    tracker.move_to(more)
    order = np.arange(80)
    estimate = tracker.update(FrameEvidence(100 + order, np.full(80, 0.5)))
    assert position(estimate.latitude) == pytest.approx(55, abs=20)
    assert estimate.status == "tracking"


def test_the_belief_of_a_large_map_stays_sparse() -> None:
    count = 200_000
    side = math.isqrt(count)
    entries = [
        Entry(number, "", "", 35 + (number // side) * 5 * METRE, 139 + (number % side) * 5 * METRE, None, 1, 1, "")
        for number in range(count)
    ]
    states = States(entries)
    tracker = Tracker(states, Motion(speed=3))
    random = np.random.default_rng(0)
    begun = time.perf_counter()
    for number in range(20):
        true = 1000 * side // 3 + number
        ids = np.unique(np.concatenate([[true], random.integers(0, count, 99)]))
        similarities = np.where(ids == true, 0.8, 0.6)
        order = np.argsort(-similarities)
        estimate = tracker.update(FrameEvidence(ids[order], similarities[order]))
    print(f"{(time.perf_counter() - begun) / 20 * 1000:.2f} ms a frame")
    assert estimate.id is not None and abs(estimate.id - true) <= 2
    assert tracker.states_held <= 1000


@pytest.mark.parametrize("metres", [10.0, None])
def test_after_a_new_generation_only_the_frames_since_then_are_smoothed(metres: float | None) -> None:
    tracker = Tracker(street(60, metres), Motion(speed=15), remember=True)
    for number in range(6):
        tracker.update(frame(60, number))
    tracker.move_to(street(80, metres))
    for number in range(6, 10):
        tracker.update(frame(80, number))
    assert [estimate.place for estimate in tracker.smoothed()] == [f"place {number}" for number in range(6, 10)]
    assert tracker.best_path() == [106, 107, 108, 109]


def test_a_long_track_keeps_its_newest_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daco_serve.engine.tracking.filter.MOST_REMEMBERED_BYTES", 50_000)
    tracker = Tracker(street(60), Motion(speed=15), remember=True)
    for number in range(40):
        tracker.update(frame(60, number))
    path = tracker.best_path()
    assert 2 <= len(path) < 40
    assert path == list(range(140 - len(path), 140))
    assert len(tracker.smoothed()) == len(path)


def test_an_uninformative_frame_keeps_the_belief_that_the_camera_is_not_on_the_map() -> None:
    tracker = Tracker(street(60))
    for _ in range(6):
        off = tracker.update(frame(60, others=0.3, on_map=0.03))
    assert off.status == "not_on_map"
    limited = FrameEvidence(np.array([110, 111, 112]), np.array([0.5, 0.5, 0.5]), limited=True)
    assert tracker.update(limited).status == "not_on_map"
    for number in range(6):
        back = tracker.update(frame(60, 10 + number, on_map=0.95))
    assert back.status == "tracking"


@pytest.mark.parametrize("on_map", [None, 0.9])
def test_a_prior_with_a_single_reference_locates_the_camera_there(on_map: float | None) -> None:
    tracker = Tracker(street(60))
    for _ in range(3):
        tracker.update(frame(60, on_map=on_map))  # that fit every place alike
    estimate = tracker.update(FrameEvidence(np.array([130]), np.array([0.5]), limited=True))
    assert estimate.place == "place 30"
    assert estimate.status == "tracking"


def test_a_wrong_prior_does_not_mislead_a_track() -> None:
    tracker = Tracker(street(60), Motion(speed=15))
    for number in range(8):
        tracker.update(frame(60, number))
    tracker.update(FrameEvidence(np.array([150]), np.array([0.5]), limited=True))
    estimate = tracker.update(frame(60, 9))
    assert position(estimate.latitude) == pytest.approx(90, abs=15)


def test_votes_are_used_for_references_that_were_re_ranked() -> None:
    plain = [SearchMatch(1, 0.6, None), SearchMatch(2, 0.5, None)]  # type: ignore[arg-type]
    assert likenesses(plain).tolist() == [0.6, 0.5]
    compared = [plain[0]._replace(votes=20.0), plain[1]._replace(votes=120.0), SearchMatch(3, 0.4, None)]  # type: ignore[arg-type]
    first, second, rest = likenesses(compared).tolist()
    assert second > first > rest
    assert first - rest == pytest.approx((0.6 - 0.4) * COMPARED_SIMILARITY + 20 * COMPARED_VOTE)
