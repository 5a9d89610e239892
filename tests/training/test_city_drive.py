"""The drives of the demo city: frames in the order of the street, near those of the other domains, and resumable."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.photographs.locations import distance_metres, read_locations
from daco_training.city import CityExtras, CitySettings, make_city
from daco_training.city.drive import FRAMES, STEP, WANDER, street_drive
from daco_training.city.make import DRIVE_FOLDER


def test_a_drive_goes_forward_and_differs_between_domains() -> None:
    day, night = (street_drive(3, 0, domain) for domain in ("day", "night"))
    assert [frame.name for frame in day] == sorted(frame.name for frame in day)
    for drive in (day, night):
        assert np.diff([frame.pose.x for frame in drive]) == pytest.approx(STEP)
    apart = [
        min(np.hypot(one.pose.x - other.pose.x, one.pose.y - other.pose.y) for other in day) for one in night[1:-1]
    ]
    assert 0 < max(apart) <= np.hypot(STEP / 2, 2 * WANDER)
    assert day[5].pose != night[5].pose != street_drive(4, 0, "night")[5].pose


@pytest.mark.slow
def test_a_drive_is_rendered_with_positions_and_resumed(tmp_path: Path) -> None:
    pytest.importorskip("mitsuba")
    settings, extras = CitySettings(places=2, size=64, seed=3, domains=("day",)), CityExtras(drive=1)
    make_city(tmp_path, settings, extras, workers=1)
    folder = tmp_path / DRIVE_FOLDER / "day"
    files = sorted(folder.glob("*.jpg"))
    assert len(files) == FRAMES
    assert len({Image.open(file).tobytes() for file in files}) == FRAMES
    locations = read_locations(folder)
    places = [locations[file.name] for file in files]
    steps = [
        distance_metres(one.latitude, one.longitude, other.latitude, other.longitude) for one, other in pairwise(places)
    ]
    assert steps == pytest.approx(len(steps) * [STEP], abs=0.4)
    before, content = files[3].stat().st_mtime_ns, files[7].read_bytes()
    files[7].unlink()
    report = make_city(tmp_path, settings, extras, workers=1)
    assert report.images_rendered == 1
    assert files[7].read_bytes() == content and files[3].stat().st_mtime_ns == before
