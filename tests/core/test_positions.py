"""Positions: four forms are read alike, with a documented precedence; malformed tables are rejected."""

import csv
import json
import math
import os
from pathlib import Path

import pytest
from PIL import Image

from daco_core.errors import DacoError, UsageError
from daco_core.photographs.locations import PhotoLocation, distance_metres, read_locations, write_locations
from daco_core.photographs.positions import locate, read_positions
from daco_core.photographs.positions.names import read_name
from daco_core.photographs.positions.utm import BANDS, utm_to_degrees

SHARED = Path(os.environ.get("DACO_SHARED", Path(__file__).parents[3] / "shared"))
LUND = SHARED / "photos" / "lund"

# from PROJ 9 by way of pyproj: latitude, longitude, zone, band, easting, northing
PROJ_POINTS = [
    (55.698167, 13.195389, 33, "U", 386581.5963, 6173962.9123),
    (35.6586, 139.7454, 54, "S", 386437.6028, 3946808.1552),
    (-33.8568, 151.2153, 56, "H", 334900.5697, 6252288.7529),
    (64.1466, -21.9426, 27, "W", 454138.3765, 7113689.8690),
    (60.4, 5.3, 32, "V", 296191.5470, 6701684.4751),
]


def to_utm(latitude: float, longitude: float) -> tuple[float, float, int, str]:
    """Degrees to UTM by the forward series (Karney 2011, equations 7 to 10 and 35), which the product does not need."""
    zone = int((longitude + 180) // 6) + 1
    flattening = 1 / 298.257223563
    n = flattening / (2 - flattening)
    eccentricity = math.sqrt(flattening * (2 - flattening))
    alpha = (
        n / 2 - 2 * n**2 / 3 + 5 * n**3 / 16 + 41 * n**4 / 180,
        13 * n**2 / 48 - 3 * n**3 / 5 + 557 * n**4 / 1440,
        61 * n**3 / 240 - 103 * n**4 / 140,
        49561 * n**4 / 161280,
    )
    tangent = math.tan(math.radians(latitude))
    sigma = math.sinh(eccentricity * math.atanh(eccentricity * tangent / math.hypot(1, tangent)))
    conformal = tangent * math.hypot(1, sigma) - sigma * math.hypot(1, tangent)
    east = math.radians(longitude - (6 * zone - 183))
    xi, eta = math.atan2(conformal, math.cos(east)), math.asinh(math.sin(east) / math.hypot(conformal, math.cos(east)))
    terms = list(enumerate(alpha, start=1))
    radius = 0.9996 * 6378137 / (1 + n) * (1 + n**2 / 4 + n**4 / 64)
    easting = 500000 + radius * (eta + sum(a * math.cos(2 * j * xi) * math.sinh(2 * j * eta) for j, a in terms))
    northing = radius * (xi + sum(a * math.sin(2 * j * xi) * math.cosh(2 * j * eta) for j, a in terms))
    return easting, northing + (1e7 if latitude < 0 else 0), zone, BANDS[min(int((latitude + 80) // 8), 19)]


def picture(path: Path, gps: tuple[float, float, float] | None = None) -> None:
    """A photograph, with latitude, longitude and heading in its EXIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if gps:
        latitude, longitude, heading = gps
        exif.get_ifd(0x8825).update(
            {
                1: "S" if latitude < 0 else "N", 2: (abs(latitude), 0.0, 0.0),
                3: "W" if longitude < 0 else "E", 4: (abs(longitude), 0.0, 0.0),
                17: heading,
            }
        )  # fmt: skip
    Image.new("RGB", (16, 12), "grey").save(path, exif=exif)


def bare_copies(folder: Path, names: list[str]) -> None:
    """Photographs without EXIF."""
    for name in names:
        picture(folder / name)


@pytest.mark.skipif(not LUND.is_dir(), reason="needs the shared photographs of Lund (DACO_SHARED)")
def test_four_forms_of_positions_give_the_same_locations(tmp_path: Path) -> None:
    by_exif = read_positions(LUND)
    assert len(by_exif) == 29
    names = list(by_exif)

    bare_copies(tmp_path / "csv", names)
    with (tmp_path / "csv" / "gps.csv").open("w", newline="") as stream:
        rows = csv.writer(stream, delimiter=";")
        rows.writerow(["Filename", "Lat", "Lon"])
        rows.writerows([name, at.latitude, at.longitude] for name, at in by_exif.items())

    bare_copies(tmp_path / "geojson", names)
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": [at.longitude, at.latitude]},
            "properties": {"image": name},
        }
        for name, at in by_exif.items()
    ]
    (tmp_path / "geojson.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))

    by_name = {}
    for name, at in by_exif.items():
        easting, northing, zone, band = to_utm(at.latitude, at.longitude)
        field_name = (
            f"@{easting:010.2f}@{northing:010.2f}@{zone:02d}@{band}@{at.latitude:09.5f}@{at.longitude:010.5f}"
            f"@{Path(name).stem}@@@@@@@@.jpg"
        )
        picture(tmp_path / "at" / field_name)
        by_name[field_name] = name

    forms = {
        "csv": read_positions(tmp_path / "csv"),
        "geojson": read_positions(tmp_path / "geojson"),
        "at": {by_name[name]: at for name, at in read_positions(tmp_path / "at").items()},
    }
    for form, positions in forms.items():
        assert positions.keys() == by_exif.keys(), form
        for name, at in positions.items():
            true = by_exif[name]
            assert distance_metres(at.latitude, at.longitude, true.latitude, true.longitude) < 0.02, (form, name)


@pytest.mark.parametrize(("latitude", "longitude", "zone", "band", "easting", "northing"), PROJ_POINTS)
def test_utm_agrees_with_proj(
    latitude: float, longitude: float, zone: int, band: str, easting: float, northing: float
) -> None:
    assert utm_to_degrees(easting, northing, zone, band) == pytest.approx((latitude, longitude), abs=2e-9)


@pytest.mark.parametrize(("zone", "band", "easting"), [(0, "U", 5e5), (61, "U", 5e5), (33, "I", 5e5), (33, "U", -1e9)])
def test_utm_outside_any_zone_is_rejected(zone: int, band: str, easting: float) -> None:
    with pytest.raises(ValueError):
        utm_to_degrees(easting, 6e6, zone, band)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("@386581.60@6173962.91@33@U@@@@@@@@@@@.jpg", PhotoLocation(55.698167, 13.195389)),
        ("@@@@@55.69817@13.19539@pano@03@-90@@@@20140607@@.jpg", PhotoLocation(55.69817, 13.19539, 270.0)),
        # frame numbers where UTM should be, as in sets along a railway line
        ("@000017@000000@33@U@55.69817@13.19539@@@@@@@@@.jpg", PhotoLocation(55.69817, 13.19539)),
        ("@334900.57@6252288.75@56@H@.jpg", PhotoLocation(-33.8568, 151.2153)),
        ("@0@17@@@@@@@@@@@@@@.jpg", None),
        ("@12@.jpg", None),
        ("@nan@nan@33@U@nan@inf@@@@@@@@@.jpg", None),
        ("IMG_20140607.jpg", None),
    ],
)
def test_utm_file_names_are_read_with_any_field_empty(name: str, expected: PhotoLocation | None) -> None:
    found = read_name(name)
    if expected is None:
        assert found is None
        return
    assert found is not None
    assert (found.latitude, found.longitude) == pytest.approx((expected.latitude, expected.longitude), abs=1e-6)
    assert found.heading == expected.heading


def test_exif_gives_the_hemisphere_and_the_heading(tmp_path: Path) -> None:
    picture(tmp_path / "south" / "a.jpg", (-33.5, -70.25, 370.5))
    assert read_positions(tmp_path) == {"south/a.jpg": PhotoLocation(-33.5, -70.25, 10.5)}


def test_a_camera_without_a_fix_and_a_broken_file_have_no_position(tmp_path: Path) -> None:
    picture(tmp_path / "zero.jpg", (0.0, 0.0, 0.0))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8 not a photograph")
    assert read_positions(tmp_path) == {}


def test_a_table_takes_precedence_over_file_names_and_file_names_over_exif(tmp_path: Path) -> None:
    named = "@@@@@2.0@2.0@@@@@@@@@.jpg"
    for name in ("listed.jpg", named, "plain.jpg"):
        picture(tmp_path / name, (3.0, 3.0, 0.0))
    write_locations(tmp_path, {"listed.jpg": PhotoLocation(1.0, 1.0, place="square")})
    found = read_positions(tmp_path)
    assert {name: at.latitude for name, at in found.items()} == {"listed.jpg": 1.0, named: 2.0, "plain.jpg": 3.0}
    assert found["listed.jpg"].place == "square"


def test_a_table_can_list_photographs_in_folders_below_it_and_next_to_it(tmp_path: Path) -> None:
    bare_copies(tmp_path / "walk", ["north/a.jpg", "b.jpg"])
    (tmp_path / "walk" / "all.csv").write_text("file,latitude,longitude,heading\nnorth\\a.jpg,1,2,\n")
    (tmp_path / "walk.csv").write_text("file,latitude,longitude\nwalk/b.jpg,3,4\nwalk/gone.jpg,5,6\n")
    assert read_positions(tmp_path / "walk") == {
        "north/a.jpg": PhotoLocation(1.0, 2.0),
        "b.jpg": PhotoLocation(3.0, 4.0),
    }


def test_two_tables_that_contradict_each_other_are_rejected_by_name(tmp_path: Path) -> None:
    bare_copies(tmp_path, ["a.jpg"])
    (tmp_path / "one.csv").write_text("file,latitude,longitude\na.jpg,1,2\n")
    (tmp_path / "two.csv").write_text("file,latitude,longitude\na.jpg,1,2.1\n")
    with pytest.raises(DacoError, match=r"one\.csv and .*two\.csv"):
        read_positions(tmp_path)


def test_tables_without_positions_are_ignored(tmp_path: Path) -> None:
    bare_copies(tmp_path, ["a.jpg"])
    (tmp_path / "prices.csv").write_bytes("item,price\nbr\xf6d,3\n".encode("latin-1"))
    (tmp_path / "map.geojson").write_text('{"type": "FeatureCollection", "features": [{"properties": null}]}')
    assert read_positions(tmp_path) == {}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("locations.csv", "picture,where\na.jpg,here\n", "lacks a column"),
        ("p.csv", "file,latitude,longitude\na.jpg,north,2\n", "line 2"),
        ("p.csv", "file,latitude,longitude\na.jpg,91,2\n", "not a place on the earth"),
        ("p.csv", "file,latitude,longitude\na.jpg,1,\n", "line 2"),
        ("p.csv", "file,latitude,longitude\na.jpg,1\n", "line 2"),
        ("p.csv", "file,latitude,longitude,heading\na.jpg,1,2,nan\n", "heading"),
        ("p.geojson", "{", "cannot be read"),
        ("p.geojson", "[]", "not a GeoJSON"),
        ("p.geojson", '{"features": [{"properties": {"file": "a.jpg"}, "geometry": null}]}', "feature 1"),
        (
            "p.geojson",
            '{"features": [], "crs": {"properties": {"name": "urn:ogc:def:crs:EPSG::3857"}}}',
            "EPSG:4326",
        ),
    ],
)
def test_a_broken_table_is_rejected_in_one_sentence(tmp_path: Path, name: str, content: str, sentence: str) -> None:
    bare_copies(tmp_path, ["a.jpg"])
    (tmp_path / name).write_text(content)
    with pytest.raises(DacoError, match=sentence):
        read_positions(tmp_path)


def test_rows_without_a_position_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "locations.csv").write_text("file,place,latitude,longitude,heading\na.jpg,hall,,,\nb.jpg,,1,2,\n")
    assert read_locations(tmp_path) == {"b.jpg": PhotoLocation(1.0, 2.0)}


def test_locations_survive_writing_and_reading(tmp_path: Path) -> None:
    locations = {
        "a.jpg": PhotoLocation(55.6981667, 13.1953889, 359.25, 'the "old" square, north'),
        "b.jpg": PhotoLocation(-1.0, -2.0),
    }
    write_locations(tmp_path, locations)
    assert read_locations(tmp_path) == locations
    assert [path.name for path in tmp_path.iterdir()] == ["locations.csv"]


def feature(properties: object, geometry: object = None) -> dict[str, object]:
    point = {"type": "Point", "coordinates": [13.2, 55.7]}
    return {"type": "Feature", "geometry": geometry or point, "properties": properties}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[" * 200_000, "nested too deep"),
        ('{"features": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested too deep"),
        (json.dumps({"features": [feature(["a.jpg"])]}), "feature 1: its properties are not an object"),
        (json.dumps({"features": [feature("a.jpg")]}), "feature 1: its properties are not an object"),
        (json.dumps({"features": [feature({"file": "a.jpg", "place": "\ud83c"})]}), "half of a character"),
        (json.dumps({"features": [feature({"file": "a.jpg", "place": ["x"]})]}), "its place is not a name"),
        (json.dumps({"features": [feature({"file": "a.jpg", "place": "x" * 1001})]}), "more than 1000 characters"),
        (json.dumps({"features": [feature({"file": "a.jpg"}, ["x"])]}), "not a point"),
        (json.dumps({"features": [["a.jpg"]]}), "not a GeoJSON feature collection"),
        (json.dumps({"features": "abc"}), "not a GeoJSON feature collection"),
        (json.dumps(["a.jpg"]), "not a GeoJSON feature collection"),
        (json.dumps({"features": [], "crs": {"properties": ["x"]}}), "not a GeoJSON feature collection"),
    ],
)
def test_an_invalid_geojson_file_is_reported_in_one_sentence_with_its_name(tmp_path, text, sentence):
    picture(tmp_path / "a.jpg")
    (tmp_path / "map.geojson").write_text(text)
    with pytest.raises(DacoError, match=rf"map\.geojson.*{sentence}") as caught:
        read_positions(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_table_that_is_too_large_is_rejected_before_it_is_read(tmp_path, monkeypatch):
    picture(tmp_path / "a.jpg")
    monkeypatch.setattr("daco_core.photographs.locations.MOST_TABLE_BYTES", 10)
    for name in ("map.geojson", "map.csv"):
        (tmp_path / name).write_text("file,latitude,longitude\n")
        with pytest.raises(DacoError, match=rf"{name} has .* MB"):
            read_positions(tmp_path)
        (tmp_path / name).unlink()


@pytest.mark.parametrize("place", ["=HYPERLINK(1)", "+1", "-a", "@x", "'-a", "harbour"])
def test_a_place_that_looks_like_a_formula_is_escaped_in_tables_and_read_back(tmp_path, place):
    write_locations(tmp_path, {"a.jpg": PhotoLocation(55.7, 13.2, None, place)})
    written = next(csv.DictReader((tmp_path / "locations.csv").open()))["place"]
    assert not written.startswith(("=", "+", "-", "@"))
    assert read_locations(tmp_path)["a.jpg"].place == place


@pytest.mark.parametrize(
    ("reference", "expected"),
    [(b"\0", 31.5), (b"\1", -31.5), (b"\2", 31.5), (b"\3", -31.5), (None, 31.5)],
)
def test_altitudes_in_exif_may_be_above_or_below_the_sea(reference: object, expected: float, tmp_path: Path) -> None:
    exif = Image.Exif()
    gps = {1: "N", 2: (55.0, 0.0, 0.0), 3: "E", 4: (13.0, 0.0, 0.0), 6: 31.5}
    exif.get_ifd(0x8825).update(gps if reference is None else gps | {5: reference})
    Image.new("RGB", (16, 12)).save(tmp_path / "a.jpg", exif=exif)
    assert read_positions(tmp_path)["a.jpg"].altitude == expected


def test_altitudes_come_from_tables_and_geojson_and_are_unknown_otherwise(tmp_path: Path) -> None:
    bare_copies(tmp_path, ["a.jpg", "b.jpg", "c.jpg", "d.jpg"])
    (tmp_path / "places.csv").write_text("image,lat,lon,Altitude\na.jpg,1,2,12.5\nb.jpg,1,2,\n")
    points = [("c.jpg", [2, 1, -3.5]), ("d.jpg", [2, 1])]
    features = [
        {"type": "Feature", "properties": {"file": name}, "geometry": {"type": "Point", "coordinates": at}}
        for name, at in points
    ]
    (tmp_path / "more.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = read_positions(tmp_path)
    assert [found[name].altitude for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")] == [12.5, None, -3.5, None]


SAYS = "a.jpg", PhotoLocation(55.6981667, -13.1953889, 359.5, altitude=12.5)


@pytest.mark.parametrize(
    ("name", "text", "encoding"),
    [
        ("p.csv", "Image Name;Latitude;Longitude;Heading;Alt\na.jpg;55,6981667;-13,1953889;359,5;12,5\n", "utf-8"),
        ("p.csv", "FILENAME\tLAT\tLON\tBearing\tElevation\nA.JPG\t55.6981667\t-13.1953889\t359.5\t12.5\n", "utf-16"),
        ("p.csv", "file,lat,lng,azimuth,alt\na.jpg,55.6981667,-13.1953889,359.5,12.5\n", "utf-16-le"),
        ("p.tsv", "Source File\tGPS Latitude\tGPS Longitude\tGPSImgDirection\tGPS Altitude\n"
         "./a.jpg\t55 deg 41' 53.40012\" N\t13 deg 11' 43.40004\" W\t359.5\t12.5\n", "utf-8"),
        ("p.csv", "sep=;\nphoto;Latitude (deg);Longitude [°];heading;altitude\n"
         "a;N 55° 41.890002';13:11:43.40004 W;359.5;12.5\n", "utf-8-sig"),
        ("p.csv", "key,lat,lon,heading,altitude\na,\"55,6981667\",\"-13,1953889\",\"359,5\",\"12,5\"\n", "utf-8"),
        ("p.json", '[{"Image": "a", "lat": 55.6981667, "lon": "-13,1953889", "heading": 359.5, "alt": 12.5}]', "utf-8"),
        ("p.json", '{"photos": [{"file": "a.jpg", "latitude": 55.6981667, "longitude": -13.1953889, "heading": 359.5,'
         ' "altitude": 12.5}], "version": 1}', "utf-16"),
    ],
)  # fmt: skip
def test_the_usual_spellings_of_tables_are_read(tmp_path: Path, name: str, text: str, encoding: str) -> None:
    bare_copies(tmp_path, ["a.jpg"])
    (tmp_path / name).write_text(text, encoding=encoding)
    ((found, location),) = read_positions(tmp_path).items()
    expected = SAYS[1]
    assert found == SAYS[0] and (location.heading, location.altitude) == (expected.heading, expected.altitude)
    assert location.latitude == pytest.approx(expected.latitude, abs=1e-7)
    assert location.longitude == pytest.approx(expected.longitude, abs=1e-7)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("file,latitude,longitude\na.jpg,13 E,55 N\n", "swapped"),
        ("file,latitude,longitude\na.jpg,139.7,35.6\n", "swapped"),
        ("file,latitude,longitude\na.jpg,55 70 10 N,13\n", "line 2: latitude '55 70 10 N' is not"),
        ("file,latitude,longitude\na.jpg,55,69,13,19\n", "2 more values"),
        ("file,latitude,longitude\na.jpg,1,2\na.jpg,1,3\n", "line 3: 'a.jpg' has another position"),
        ("file,x,y\na.jpg,1,\n", "it has a x but no y"),
    ],
)
def test_an_impossible_row_is_rejected_with_its_line(tmp_path: Path, text: str, sentence: str) -> None:
    bare_copies(tmp_path, ["a.jpg"])
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(DacoError, match=r"p\.csv, line") as caught:
        read_positions(tmp_path)
    assert sentence in str(caught.value)


def notes_of(folder: Path) -> list[str]:
    notes: list[str] = []
    locate(folder, sorted(folder.glob("*.jpg")), notes)
    return notes


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("latitude,longitude\n1,2\n", "no column with the names of the photographs"),
        ("file,latitude\na.jpg,1\n", "it has latitude, but no longitude"),
        ("image,northing\na.jpg,1\n", "it has y, but no x"),
        ("image,caption\na.jpg,hall\n", "its column 'image' names photographs, but it has neither latitude"),
        ("image,x,y,width,height\na.jpg,1,2,3,4\n", "taken for pixels"),
        ("file,lat,lon\nb.jpg,1,2\nc.jpg,1,2\n", "no row names a photograph in this folder; the first other name"),
        ("file,lat,lon\na.jpg,1,2\nc.jpg,1,2\n", "only 1 of its 2 rows name a photograph"),
    ],
)  # fmt: skip
def test_a_note_says_why_a_table_does_not_fit_the_photographs(
    tmp_path: Path, text: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    bare_copies(tmp_path, ["a.jpg"])
    (tmp_path / "p.csv").write_text(text)
    (note,) = notes_of(tmp_path)
    assert "p.csv" in note and sentence in note
    read_positions(tmp_path)
    assert f"Note: {note}" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["name,price\nbread,3\n", "a,b\n1,2\n", ""])
def test_a_table_without_positions_gives_no_note(tmp_path: Path, text: str) -> None:
    bare_copies(tmp_path, ["a.jpg"])
    (tmp_path / "p.csv").write_text(text)
    for name, content in (
        ("q.json", '{"poses": {"a.jpg": {"east": 1, "north": 2}}}'),
        ("r.json", "["),
        ("s.json", "[1]"),
    ):
        (tmp_path / name).write_text(content)
    assert notes_of(tmp_path) == [] and read_positions(tmp_path) == {}


def test_a_name_without_suffix_that_fits_two_photographs_is_used_for_neither(tmp_path: Path) -> None:
    bare_copies(tmp_path, ["a.jpg", "a.png", "hall.2.jpg"])
    (tmp_path / "p.csv").write_text("file,lat,lon\na,1,2\nhall.2,3,4\n")
    assert read_positions(tmp_path) == {"hall.2.jpg": PhotoLocation(3.0, 4.0)}


def test_unusable_exif_positions_are_counted_by_reason(tmp_path: Path) -> None:
    faults = {"a": (0.0, 0.0, 0.0), "b": (0.0, 0.0, 1.0), "c": (95.0, 13.0, 0.0), "d": (55.0, 13.0, 0.0)}
    for name, gps in faults.items():
        picture(tmp_path / f"{name}.jpg", gps)
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (55.0, 0.0, 0.0)})
    Image.new("RGB", (16, 12)).save(tmp_path / "e.jpg", exif=exif)
    picture(tmp_path / "f.jpg")
    zero, beyond, half = notes_of(tmp_path)
    assert zero.startswith("The position in the EXIF of 2 photographs is not used: it is latitude 0, longitude 0")
    assert "a.jpg" in zero
    assert "EXIF of 1 photograph is not used: it is not a place on the earth (c.jpg)" in beyond
    assert "are not two numbers (e.jpg)" in half
    assert read_positions(tmp_path).keys() == {"d.jpg"}


def test_unusable_positions_of_photographs_with_another_position_are_not_reported(tmp_path: Path) -> None:
    picture(tmp_path / "a.jpg", (0.0, 0.0, 0.0))
    picture(tmp_path / "@386000@6174000@99@U@@@@@@@@@@@.jpg", (55.0, 13.0, 0.0))
    (tmp_path / "p.csv").write_text("file,latitude,longitude\na.jpg,1,2\n")
    assert notes_of(tmp_path) == [] and len(read_positions(tmp_path)) == 2


def test_file_names_with_a_position_that_is_not_on_the_earth_are_counted(tmp_path: Path) -> None:
    bare_copies(
        tmp_path, ["@386000@6174000@99@U@@@@@@@@@@@.jpg", "@@@@@95@13@@@@@@@@@.jpg", "@0@0016.7@@@@@1@@@@@@@@.jpg"]
    )
    (note,) = notes_of(tmp_path)  # a frame number in place of UTM is no position
    assert note.startswith("The position in the name of 2 photographs is not used")


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("p.csv", "file,latitude,longitude\na.jpg,1,2\nb.jpg,,\nc.jpg,,\n"),
        ("p.json", '[{"file": "a.jpg", "lat": 1, "lon": 2}, {"file": "b.jpg"}, {"file": "c.jpg", "lat": null}]'),
    ],
)
def test_rows_without_a_position_are_counted(tmp_path: Path, table: str, text: str) -> None:
    bare_copies(tmp_path, ["a.jpg", "b.jpg"])
    (tmp_path / table).write_text(text)
    (note,) = notes_of(tmp_path)
    assert note.endswith(f"{table}: 2 of its 3 rows have no position; the first is 'b.jpg'.")


def test_notes_say_why_json_and_geojson_files_give_no_positions(tmp_path: Path) -> None:
    bare_copies(tmp_path, ["a.jpg"])
    (tmp_path / "p.json").write_text('[{"image": "a.jpg", "lat": 1}]')
    point = {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]}, "properties": {"title": "a.jpg"}}
    (tmp_path / "q.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [point]}))
    lacks, unnamed = notes_of(tmp_path)
    assert "p.json gives no positions: it has latitude, but no longitude" in lacks
    assert "q.geojson gives no positions: none of its features names a photograph" in unnamed


def test_a_latitude_without_longitude_is_an_error_in_json_and_in_tables(tmp_path: Path) -> None:
    bare_copies(tmp_path, ["a.jpg", "b.jpg"])
    (tmp_path / "p.json").write_text('[{"file": "a.jpg", "lat": 1, "lon": 2}, {"file": "b.jpg", "lat": 1}]')
    with pytest.raises(UsageError, match="object 2"):
        notes_of(tmp_path)


@pytest.mark.parametrize(
    ("text", "metres"),
    [("41.5 m Above Sea Level", 41.5), ("3 m Below Sea Level", -3.0), ("38 m", 38.0), ("-2,5 metres", -2.5)],
)
def test_altitudes_with_their_unit_are_read_as_exiftool_writes_them(text: str, metres: float, tmp_path: Path) -> None:
    bare_copies(tmp_path, ["a.jpg"])
    row = {"SourceFile": "./a.jpg", "GPSLatitude": "55 deg 41' 53.75\" N", "GPSLongitude": "13 deg 11' 42.50\" E"}
    (tmp_path / "exif.json").write_text(json.dumps([row | {"GPSAltitude": text}]))
    (location,) = read_positions(tmp_path).values()
    assert location.altitude == metres and location.latitude == pytest.approx(55.698264, abs=1e-6)
    (tmp_path / "exif.json").write_text(json.dumps([row | {"GPSAltitude": "high"}]))
    with pytest.raises(UsageError, match="altitude 'high' is not a number"):
        read_positions(tmp_path)


def test_zero_positions_and_swapped_coordinates_are_noted_but_used(tmp_path: Path) -> None:
    bare_copies(tmp_path, [f"{number}.jpg" for number in range(6)])
    rows = ["55.70,13.20", "55.71,13.21", "55.72,13.20", "55.70,13.22", "0,0", "13.2,55.7"]
    table = "".join(f"{number}.jpg,{row}\n" for number, row in enumerate(rows))
    (tmp_path / "p.csv").write_text(f"file,lat,lon\n{table}")
    nowhere, swapped = notes_of(tmp_path)
    assert nowhere.startswith("1 of 6 positions are latitude 0, longitude 0") and "4.jpg" in nowhere
    assert swapped.startswith("1 of 6 positions would lie among the others if") and "5.jpg" in swapped
    found = read_positions(tmp_path)
    assert found["4.jpg"] == PhotoLocation(0.0, 0.0) and found["5.jpg"] == PhotoLocation(13.2, 55.7)
