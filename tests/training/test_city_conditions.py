"""The conditions of the demo city besides day, night and fog: sunset, and a rainy night."""

from pathlib import Path

import numpy as np
import pytest

from daco_core.errors import UsageError
from daco_training.city import CitySettings, make_city
from daco_training.city.plan import CityPlace
from daco_training.city.rendering.conditions import DOMAINS
from daco_training.city.rendering.photograph import PlacePhotograph
from daco_training.city.rendering.rain import add_rain
from daco_training.city.rendering.weather import LUMINANCE
from daco_training.city.streets.ground import ROUGHEST, SMOOTHEST, wet_roughness

PLACE = CityPlace(2, 5, "train")
WIDTH, HEIGHT = 85, 64


def test_streaks_of_rain_are_as_bright_as_their_surroundings_and_hide_little() -> None:
    dark = np.full((64, 80, 3), 0.01)
    lit = dark.copy()
    lit[:, 40:] = 1.0  # the right half is a lit street
    rained = add_rain(lit, np.random.default_rng(0))
    change = np.abs(rained - lit) @ LUMINANCE
    assert 0.05 < (change > 1e-4).mean() < 0.9, "some of the picture is seen between the drops"
    assert change[:, 60:].mean() > 20 * change[:, :10].mean(), "drops in the dark do not shine"
    assert rained.min() > 0
    assert (add_rain(lit, np.random.default_rng(0)) == rained).all()
    assert (add_rain(lit, np.random.default_rng(1)) != rained).any()


def test_streaks_of_rain_are_longer_than_wide_and_nearly_vertical() -> None:
    down, across = [], []
    for seed in range(5):  # the wind of one picture may be strong
        mask = add_rain(np.full((160, 160, 3), 1.0), np.random.default_rng(seed))[..., 1] - 1.0
        for found, one, next_one in ((down, mask[1:], mask[:-1]), (across, mask[:, 1:], mask[:, :-1])):
            found.append(np.corrcoef(one.ravel(), next_one.ravel())[0, 1])
    assert np.mean(down) > np.mean(across) + 0.4


def test_water_is_smooth_in_puddles_and_rough_between_them() -> None:
    rough = wet_roughness(np.random.default_rng(0), (200, 900))
    assert rough.min() == pytest.approx(SMOOTHEST, abs=0.05)
    assert rough.max() == pytest.approx(ROUGHEST, abs=0.05)
    assert 0.15 < (rough < (SMOOTHEST + ROUGHEST) / 2).mean() < 0.6


def test_an_unknown_condition_is_reported_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="day, night, fog, sunset, rainy-night"):
        make_city(tmp_path / "demo", CitySettings(places=2, domains=("rain",)))


@pytest.mark.slow
def test_sunset_is_warmer_than_day_and_a_rainy_night_darker() -> None:
    pytest.importorskip("mitsuba", reason="the demo city is rendered with Mitsuba, which is not installed")
    taken = {domain: PlacePhotograph(0, PLACE, domain).take(WIDTH, HEIGHT) for domain in DOMAINS}
    warmth = {domain: image[..., 0].mean() / image[..., 2].mean() for domain, image in taken.items()}
    assert warmth["sunset"] > 1.15 * warmth["day"]
    usual = {domain: np.median(image @ LUMINANCE) for domain, image in taken.items()}
    assert usual["rainy-night"] < 0.7 * usual["day"]
    again = PlacePhotograph(0, PLACE, "rainy-night").take(WIDTH, HEIGHT)
    assert (again == taken["rainy-night"]).all(), "a photograph is a function of its place and condition"
