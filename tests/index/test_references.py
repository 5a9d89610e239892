"""Sources of reference photographs and their positions."""

import struct
from fractions import Fraction
from pathlib import Path

import pytest
from PIL import ExifTags, Image

from daco_core.errors import DacoError, NotFound
from daco_index.references.find import Reference, find_references, look_into


def write_photograph(path: Path, gps: dict[int, object] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if gps is not None:
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    Image.new("RGB", (8, 8)).save(path, exif=exif)
    return path


def gps(north: str, east: str, **more: object) -> dict[int, object]:
    fields = {
        "GPSLatitudeRef": north,
        "GPSLatitude": (55.0, 41.0, Fraction(534, 10)),
        "GPSLongitudeRef": east,
        "GPSLongitude": (13.0, 11.0, 43.4),
        **more,
    }
    return {ExifTags.GPS[name]: value for name, value in fields.items()}


def test_a_folder_is_read_with_its_subfolders_in_a_fixed_order(tmp_path):
    for name in ("b/2.JPG", "b/1.png", "a.jpeg", ".hidden/x.jpg", "b/note.txt", "c d/é.webp"):
        write_photograph(tmp_path / name) if name[-3:] != "txt" else (tmp_path / name).write_text("")
    found = find_references(str(tmp_path))
    assert [reference.place for reference in found] == ["a", "b/1", "b/2", "c d/é"]
    assert all(reference.path.is_absolute() and reference.path.is_file() for reference in found)


def test_files_that_are_no_photographs_are_counted_by_kind(tmp_path):
    for name in ("a.jpg", "north/b.png"):
        write_photograph(tmp_path / name)
    for name in ("c.mov", "north/d.MOV", "e.txt", "walk.csv"):
        (tmp_path / name).write_text("")
    assert look_into(str(tmp_path)).other_files == {"MOV": 2, "TXT": 1}
    assert look_into(tmp_path.as_uri()).other_files == {"MOV": 2, "TXT": 1}
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "c.mov").write_text("")
    with pytest.raises(NotFound, match="left out: 1 MOV"):
        find_references(str(tmp_path / "videos"))


def test_exif_gives_position_and_heading(tmp_path):
    write_photograph(tmp_path / "a.jpg", gps("N", "E", GPSImgDirection=370.25, GPSImgDirectionRef="T"))
    write_photograph(tmp_path / "b.jpg", gps("S", "W"))
    first, second = find_references(str(tmp_path))
    assert (first.latitude, first.longitude) == pytest.approx((55.6981667, 13.1953889), abs=1e-6)
    assert first.heading == pytest.approx(10.25, abs=1e-3)
    assert (second.latitude, second.longitude) == pytest.approx((-55.6981667, -13.1953889), abs=1e-6)
    assert second.heading is None


@pytest.mark.parametrize(
    "fields",
    [None, {}, gps("N", "E", GPSLatitude=(99.0, 0.0, 0.0)), gps("N", "E", GPSLatitude=7.0)],
    ids=["no EXIF", "no GPS", "beyond the pole", "not three numbers"],
)
def test_invalid_exif_positions_are_ignored(tmp_path, fields):
    path = write_photograph(tmp_path / "a.jpg", fields)
    assert find_references(str(tmp_path)) == [Reference(path.resolve(), "a")]


def test_a_coordinate_with_a_zero_denominator_is_no_position(tmp_path):
    path = write_photograph(tmp_path / "a.jpg", gps("N", "E"))
    # as phones write it before their first fix: the seconds of the latitude become 0/0
    content = path.read_bytes()
    seconds = struct.pack(">II", 267, 5)
    assert seconds in content
    path.write_bytes(content.replace(seconds, bytes(8)))
    assert find_references(str(tmp_path))[0].latitude is None


def test_locations_csv_takes_precedence_over_exif_in_each_folder(tmp_path):
    write_photograph(tmp_path / "a.jpg", gps("N", "E"))
    write_photograph(tmp_path / "b.jpg", gps("N", "E"))
    write_photograph(tmp_path / "sub" / "a.jpg")
    (tmp_path / "locations.csv").write_text("file,place,latitude,longitude,heading\na.jpg,inn,1,2,3\n")
    (tmp_path / "sub" / "locations.csv").write_text("file,latitude,longitude\na.jpg,4,5\n")
    first, second, third = find_references(str(tmp_path))
    assert first == Reference(tmp_path.resolve() / "a.jpg", "inn", latitude=1, longitude=2, heading=3)
    assert second.latitude == pytest.approx(55.698, abs=1e-3)
    assert third == Reference(tmp_path.resolve() / "sub" / "a.jpg", "sub/a", latitude=4, longitude=5)


def test_a_broken_locations_csv_is_an_error_with_its_name(tmp_path):
    write_photograph(tmp_path / "a.jpg")
    (tmp_path / "locations.csv").write_text("file,latitude,longitude\na.jpg,north,5\n")
    with pytest.raises(DacoError, match=r"locations\.csv, line 2"):
        find_references(str(tmp_path))


@pytest.fixture
def data_root(tmp_path):
    root = tmp_path / "data"
    for name in ("train/1.png", "train/2.png", "val/3.png"):
        write_photograph(root / "tokyo" / "original" / "domain_a" / name)
        write_photograph(root / "tokyo" / "original" / "domain_b" / name)
    csv = root / "tokyo" / "original" / "domain_a" / "val" / "locations.csv"
    csv.write_text("file,place,latitude,longitude,heading\n3.png,shrine,35,139,90\n")
    return root


@pytest.mark.parametrize("source", ["tokyo/day", "tokyo/domain_a"])
def test_a_domain_of_a_data_set_can_be_given_by_either_name(data_root, source):
    found = find_references(source, data_root)
    assert [reference.place for reference in found] == ["1", "2", "shrine"]
    assert (found[2].latitude, found[2].longitude, found[2].heading) == (35, 139, 90)
    assert all("domain_a" in reference.path.parts and reference.path.is_absolute() for reference in found)


@pytest.mark.parametrize(("split", "places"), [("train", ["1", "2"]), ("val", ["shrine"])])
def test_one_split_of_a_data_set_can_be_selected(data_root, split, places):
    assert [reference.place for reference in find_references("tokyo/day", data_root, split)] == places


def test_one_name_in_both_splits_gives_two_places(data_root):
    write_photograph(data_root / "tokyo" / "original" / "domain_b" / "val" / "1.png")
    found = find_references("tokyo/night", data_root)
    assert [reference.place for reference in found] == ["train/1", "2", "val/1", "3"]


def test_a_data_set_takes_precedence_over_a_folder_of_the_same_name(data_root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_photograph(tmp_path / "tokyo" / "day" / "folder.png")
    write_photograph(tmp_path / "tokyo" / "noon" / "folder.png")
    assert len(find_references("tokyo/day")) == 3
    assert [reference.place for reference in find_references("tokyo/noon")] == ["folder"]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("nowhere", "no such folder, video or recording"),
        ("paris/day", "no data set NAME/domain"),
        ("tokyo/noon", "no domain 'noon'; it has day, night"),
        ("tokyo", "name one of tokyo/day, tokyo/night"),
        ("file.png", "is a file"),
        ("empty", "contains no photographs"),
    ],
)
def test_an_invalid_source_is_reported_in_one_sentence(data_root, tmp_path, monkeypatch, source, sentence):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_photograph(tmp_path / "file.png")
    with pytest.raises(DacoError, match=sentence):
        find_references(source, data_root)


def test_a_split_of_a_plain_folder_is_rejected(tmp_path):
    write_photograph(tmp_path / "a.jpg")
    with pytest.raises(DacoError, match="plain folder"):
        find_references(str(tmp_path), split="val")
