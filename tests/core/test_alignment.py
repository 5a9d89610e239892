"""A reconstruction is aligned with the earth by the photographs in it whose positions are known."""

import math

import numpy as np
import pytest

from daco_core.photographs.frames import Anchor
from daco_core.photographs.locations import PhotoLocation, distance_metres
from daco_core.photographs.reconstructions.alignment import align

TRUE = Anchor(49.4, 10.2, heading=75.0, altitude=310.0)
UNIT = 0.25  # metres


def _places(count: int, noise: float = 0.0, lost: int = 0, seed: int = 0) -> list[tuple[PhotoLocation, PhotoLocation]]:
    """Photographs along a bend of 60 metres: in units of the reconstruction, and on the earth as GPS has them.

    Args:
        noise: standard deviation of GPS east and north, metres.
        lost: how many positions are some hundred metres off.
    """
    draw = np.random.default_rng(seed)
    places = []
    for number in range(count):
        x, y, z = 60 * number / count, 20 * math.sin(3 * number / count), 1.5
        east, north = draw.normal(0, noise, 2) + (draw.uniform(200, 400, 2) if number < lost else 0)
        turn = math.radians(TRUE.heading)
        along = x + east * math.cos(turn) - north * math.sin(turn), y + east * math.sin(turn) + north * math.cos(turn)
        latitude, longitude, altitude = TRUE.on_earth(*along, z)
        inner = PhotoLocation(None, None, x=x / UNIT, y=y / UNIT, z=z / UNIT)
        places.append((inner, PhotoLocation(latitude, longitude, altitude=altitude)))
    return places


def test_exact_positions_give_the_true_scale_and_anchor() -> None:
    found = align(_places(12))
    assert found is not None and found.scale == pytest.approx(UNIT, rel=1e-4)  # at a height, which stretches degrees
    assert (found.agreeing, found.known) == (12, 12) and found.deviation < 0.01
    assert found.anchor.heading == pytest.approx(TRUE.heading, abs=0.01)
    assert found.anchor.altitude == pytest.approx(TRUE.altitude, abs=0.01)
    away = distance_metres(found.anchor.latitude, found.anchor.longitude, TRUE.latitude, TRUE.longitude)
    assert away < 0.02


@pytest.mark.parametrize("seed", range(5))
def test_a_third_of_wrong_positions_changes_the_alignment_little(seed: int) -> None:
    found = align(_places(60, noise=2.0, lost=20, seed=seed))
    assert found is not None and found.scale == pytest.approx(UNIT, rel=0.1)
    assert 35 <= found.agreeing <= 40 and found.deviation < 4
    assert abs((found.anchor.heading - TRUE.heading + 180) % 360 - 180) < 5


def test_many_photographs_are_aligned_by_random_pairs_of_them() -> None:
    found = align(_places(500, noise=1.0, lost=100))
    assert found is not None and found.scale == pytest.approx(UNIT, rel=0.02)


def test_too_few_photographs_or_photographs_too_close_together_give_no_alignment() -> None:
    assert align([]) is None
    assert align(_places(3)) is None
    assert align([_places(3)[0]] * 9) is None  # all in one spot
    assert align(_places(12, noise=60.0)) is None  # deviations as large as the way


def test_an_alignment_works_across_the_180th_meridian() -> None:
    anchor = Anchor(-17.0, 179.9999)
    places = []
    for number in range(8):
        x, y = 10.0 * number, 5.0 * (number % 2)
        latitude, longitude, _ = anchor.on_earth(x, y)
        places.append((PhotoLocation(None, None, x=x, y=y, z=0.0), PhotoLocation(latitude, longitude)))
    assert {place.longitude is not None and place.longitude > 0 for _, place in places} == {True, False}
    found = align(places)
    assert found is not None and found.scale == pytest.approx(1.0, rel=1e-4) and found.anchor.altitude is None
