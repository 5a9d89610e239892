"""Panoramas are recognised by metadata or shape, and their views equal those of a camera at the same place."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from daco_core.photographs.panoramas import (
    ASPECT,
    FIELD_OF_VIEW,
    Panorama,
    cut_views,
    looks_like_panorama,
    read_panorama,
)

from ..recording_files import sphere_metadata


def _colours(longitude: NDArray[np.float64], latitude: NDArray[np.float64]) -> NDArray[np.float64]:
    """A world: the colour in a direction, degrees right of the middle and above the horizon."""
    turn, rise = np.radians(longitude), np.radians(latitude)
    red, green = 127 + 100 * np.sin(turn) * np.cos(rise), 127 + 100 * np.cos(turn) * np.cos(rise)
    return np.stack([red, green, 127 + 100 * np.sin(3 * rise)], axis=-1)


def _panorama(width: int) -> Image.Image:
    columns, rows = (np.arange(width) + 0.5) / width, (np.arange(width // 2) + 0.5) / (width // 2)
    longitude, latitude = np.meshgrid(columns * 360 - 180, 90 - rows * 180)
    return Image.fromarray(_colours(longitude, latitude).astype(np.uint8))


def _seen(yaw: float, width: int, height: int) -> NDArray[np.float64]:
    """What a camera sees that looks there: a ray through each pixel, turned by a rotation matrix."""
    focal = width / 2 / math.tan(math.radians(FIELD_OF_VIEW) / 2)
    right, down = np.meshgrid(np.arange(width) + 0.5 - width / 2, np.arange(height) + 0.5 - height / 2)
    rays = np.stack([right, -down, np.full_like(right, focal)], axis=-1)
    turn = math.radians(yaw)
    rotation = np.array([[math.cos(turn), 0, math.sin(turn)], [0, 1, 0], [-math.sin(turn), 0, math.cos(turn)]])
    rays = rays @ rotation.T / np.linalg.norm(rays, axis=-1, keepdims=True)
    return _colours(np.degrees(np.arctan2(rays[..., 0], rays[..., 2])), np.degrees(np.arcsin(rays[..., 1])))


def test_views_show_what_a_camera_would_see(tmp_path: Path) -> None:
    path = tmp_path / "sphere.png"
    _panorama(720).save(path)
    views = cut_views(path, Panorama(None, (720, 360)), 8)
    assert list(views) == [0, 45, 90, 135, 180, 225, 270, 315]
    for yaw, view in views.items():  # that behind lies across the left and right edge of the picture
        assert view.width / view.height == pytest.approx(ASPECT, abs=0.02)
        difference = np.asarray(view, float) - _seen(yaw, *view.size)
        assert np.abs(difference).max() < 3, yaw


@pytest.mark.parametrize(("pitch", "roll"), [(12.0, 0.0), (0.0, 15.0), (-8.0, 20.0)])
def test_views_of_a_tilted_panorama_are_level(pitch: float, roll: float, tmp_path: Path) -> None:
    # the world in the camera's own directions: pitched upwards, then turned clockwise about its axis
    columns, rows = (np.arange(720) + 0.5) / 720, (np.arange(360) + 0.5) / 360
    turn, rise = np.radians(np.stack(np.meshgrid(columns * 360 - 180, 90 - rows * 180)))
    aside, up, ahead = np.sin(turn) * np.cos(rise), np.sin(rise), np.cos(turn) * np.cos(rise)
    over, tilt = math.radians(roll), math.radians(pitch)
    aside, up = aside * math.cos(over) + up * math.sin(over), up * math.cos(over) - aside * math.sin(over)
    up, ahead = up * math.cos(tilt) + ahead * math.sin(tilt), ahead * math.cos(tilt) - up * math.sin(tilt)
    seen = _colours(np.degrees(np.arctan2(aside, ahead)), np.degrees(np.arcsin(up.clip(-1, 1))))
    path = tmp_path / "sphere.png"
    Image.fromarray(seen.astype(np.uint8)).save(path)
    for yaw, view in cut_views(path, Panorama(None, (720, 360), pitch=pitch, roll=roll), 6).items():
        difference = np.abs(np.asarray(view, float) - _seen(yaw, *view.size))
        assert difference.max() < 4, (yaw, difference.max())


def test_a_large_panorama_gives_views_of_a_bounded_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daco_core.photographs.panoramas.WIDEST", 100)
    path = tmp_path / "sphere.jpg"
    _panorama(900).save(path, quality=95)
    (view,) = cut_views(path, Panorama(None, (900, 450)), 1).values()
    assert view.width == 100
    assert np.abs(np.asarray(view, float) - _seen(0, *view.size)).mean() < 2


def test_metadata_identify_a_panorama_and_give_the_heading_of_its_middle(tmp_path: Path) -> None:
    picture = _panorama(128)
    plain, sphere, part = tmp_path / "plain.jpg", tmp_path / "sphere.jpg", tmp_path / "part.jpg"
    picture.save(plain)
    picture.save(sphere, xmp=sphere_metadata(PoseHeadingDegrees="350.5", PosePitchDegrees="2", PoseRollDegrees="-3"))
    assert read_panorama(plain) is None
    assert read_panorama(plain, by_shape=True) == Panorama(None, (128, 64))
    assert read_panorama(sphere) == Panorama(350.5, (128, 64), pitch=2, roll=-3)
    picture.crop((32, 16, 96, 48)).resize((32, 16)).save(
        part,
        xmp=sphere_metadata(
            FullPanoWidthPixels="128",
            FullPanoHeightPixels="64",
            CroppedAreaImageWidthPixels="64",
            CroppedAreaLeftPixels="32",
            CroppedAreaTopPixels="16",
        ),
    )
    assert read_panorama(part) == Panorama(None, (64, 32), 16, 8)
    (tmp_path / "none.jpg").write_bytes(b"nothing")
    assert read_panorama(tmp_path / "none.jpg", by_shape=True) is None


def test_a_partial_panorama_gives_only_the_views_that_it_covers(tmp_path: Path) -> None:
    path = tmp_path / "part.png"
    _panorama(720).crop((180, 60, 540, 300)).save(path)  # the half in front
    views = cut_views(path, Panorama(None, (720, 360), 180, 60), 8)
    assert list(views) == [0, 45, 315]
    seen = _seen(45, *views[45].size)
    assert np.abs(np.asarray(views[45], float) - seen)[:, : views[45].width * 3 // 4].max() < 3


def test_an_image_twice_as_wide_as_high_looks_like_a_panorama() -> None:
    assert looks_like_panorama(4000, 2000) and looks_like_panorama(4000, 2010)
    assert not looks_like_panorama(4000, 3000) and not looks_like_panorama(4000, 2250)
