"""Answers in standard formats: GeoJSON, GeoPose, the GeoPose Protocol, and batches of photographs."""

import base64
import json
import math
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from daco_index.build import BuildOptions, build_index
from daco_serve.http.formats import GEOJSON, GEOPOSE, JSON, QUATERNION, choose
from daco_serve.http.geojson import FeatureCollection
from daco_serve.http.geopose import quaternion_of, yaw_of

from .conftest import calibrate, hosted
from .test_refusals import refused

GPP = Path(__file__).parent / "node"
NORTH = 35 + 30 / 111195  # of photograph 3, which faces east


def ask(client: httpx.Client, photograph: Path, accept: str) -> httpx.Response:
    return client.post("/v1/query?k=2", content=photograph.read_bytes(), headers={"Accept": accept})


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        (None, JSON),
        ("*/*", JSON),
        ("application/*;q=0.5", JSON),
        ("text/html, */*;q=0.1", JSON),
        ("application/geo+json", GEOJSON),
        ("application/json;q=0.2, application/geo+json;q=0.9", GEOJSON),
        ("application/geopose+json;version=1.0", GEOPOSE),
        ("application/geopose+json; profile=basic-ypr", GEOPOSE),
        ('application/geopose+json; profile="basic-quaternion"', QUATERNION),
        ("application/geo+json, */*;q=0.1", GEOJSON),
        ("application/json;q=0, */*", GEOJSON),
        ("*/*;q=0, application/*", JSON),
    ],
)
def test_the_accept_header_selects_the_format(accept: str | None, form: str) -> None:
    assert choose(accept) == form


def test_an_unavailable_format_is_answered_with_406(client: httpx.Client, photographs: Path) -> None:
    for accept in ("text/html", "application/json;q=0", "application/geopose+json;profile=chain"):
        refused(ask(client, photographs / "3.png", accept), 406, "not_acceptable")


def test_geojson_has_the_location_and_the_matches_longitude_first(client: httpx.Client, photographs: Path) -> None:
    response = ask(client, photographs / "3.png", GEOJSON)
    assert response.headers["content-type"] == GEOJSON and response.headers["vary"] == "Accept"
    collection = response.json()
    assert collection["type"] == "FeatureCollection"
    location, best, _ = collection["features"]
    assert [location["properties"]["role"], best["properties"]["role"]] == ["location", "match"]
    assert best["geometry"]["coordinates"] == pytest.approx([139, NORTH], abs=1e-6)
    assert best["properties"]["place"] == "place 3" and best["properties"]["rank"] == 1


def test_a_geopose_has_the_heading_of_the_matches(client: httpx.Client, photographs: Path) -> None:
    ypr = ask(client, photographs / "3.png", GEOPOSE)
    assert ypr.headers["content-type"] == GEOPOSE
    location = ask(client, photographs / "3.png", JSON).json()["location"]
    assert ypr.json() == {
        "position": {"lat": location["latitude"], "lon": location["longitude"], "h": 0.0},
        "angles": {"yaw": 0.0, "pitch": 0.0, "roll": 0.0},  # the matches face east
    }
    quaternion = ask(client, photographs / "3.png", QUATERNION).json()["quaternion"]
    assert quaternion == {"x": 0, "y": 0, "z": 0, "w": 1}


@pytest.mark.parametrize(("heading", "yaw"), [(90, 0), (0, 90), (270, 180), (180, -90), (359, 91), (None, 0)])
def test_yaw_is_counter_clockwise_from_east(heading: float | None, yaw: float) -> None:
    assert yaw_of(heading).yaw == pytest.approx(yaw)
    turn = quaternion_of(heading)
    # the quaternion takes the camera's forward (1, 0, 0) to (cos yaw, sin yaw, 0)
    forward = (1 - 2 * turn.z**2, 2 * turn.w * turn.z)
    assert forward == pytest.approx((math.cos(math.radians(yaw)), math.sin(math.radians(yaw))), abs=1e-9)


def test_a_batch_is_answered_in_order_and_an_invalid_photograph_fails_alone(
    client: httpx.Client, photographs: Path
) -> None:
    files = [("image", (f"{number}.png", (photographs / f"{number}.png").read_bytes())) for number in (4, 1)]
    files.insert(1, ("image", ("notes.txt", b"no photograph")))
    files.append(("image", ("large.jpg", b"\xff\xd8\xff" * 1_000_001)))
    answers = client.post("/v1/query/batch?k=1", files=files).json()["answers"]
    assert [one["name"] for one in answers] == ["4.png", "notes.txt", "1.png", "large.jpg"]
    assert [one["answer"] and one["answer"]["matches"][0]["id"] for one in answers] == [4, None, 1, None]
    assert [one["error"] and one["error"]["code"] for one in answers] == [
        None,
        "not_an_image",
        None,
        "image_too_large",
    ]


def test_a_batch_that_is_no_form_or_has_too_many_photographs_is_rejected(
    client: httpx.Client, photographs: Path
) -> None:
    content = (photographs / "1.png").read_bytes()
    refused(client.post("/v1/query/batch", content=content), 400, "bad_form")
    refused(client.post("/v1/query/batch", files=[("image", ("a", content))] * 17), 400, "bad_form")
    refused(client.post("/v1/query/batch", files=[("other", ("a", content))]), 422, "no_image")


def reading(photograph: Path, **more: object) -> dict[str, Any]:
    image = base64.b64encode(photograph.read_bytes()).decode()
    camera = {"sensorId": "0", "imageFormat": "JPG", "imageBytes": image, **more}
    return {"id": "7", "type": "geopose", "sensorReadings": {"cameraReadings": [camera]}}


def test_invalid_geopose_requests_are_rejected(client: httpx.Client, photographs: Path) -> None:
    good = photographs / "1.png"
    refused(client.post("/geopose", content=b"{"), 422, "invalid_request")
    refused(client.post("/geopose", json={"id": "7", "sensorReadings": {}}), 422, "no_image")
    raw = base64.b64encode(bytes(range(256)) * 48).decode()
    asked = reading(good, imageFormat="GRAY8", imageBytes=raw)
    refused(client.post("/geopose", json=asked), 415, "unsupported_format")
    refused(client.post("/geopose", json=reading(good, imageBytes="no base64!")), 415, "not_an_image")
    refused(client.post("/geopose", json=reading(good, imageOrientation={"rotation": 45})), 422, "invalid_request")
    far = {"latitude": -35.0, "longitude": 139.0, "accuracy": 10.0}
    asked = reading(good)
    asked["sensorReadings"]["geolocationReadings"] = [far]
    refused(client.post("/geopose", json=asked), 422, "prior_holds_nothing")
    asked["sensorReadings"]["geolocationReadings"] = [{**far, "accuracy": 1e308}]
    assert "finite" in refused(client.post("/geopose", json=asked), 422, "invalid_request")


def gpp(*arguments: object) -> "subprocess.CompletedProcess[str]":
    if shutil.which("node") is None:
        pytest.skip("Node.js is not installed, so the platform's own client cannot run")
    if not (GPP / "node_modules").is_dir():
        pytest.skip(f"the platform's own client is not installed: npm install --prefix {GPP}")
    command = ["node", str(GPP / "ask.js"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_platforms_own_client_understands_the_pose(client: httpx.Client, photographs: Path) -> None:
    address = client.base_url.join("/geopose")
    result = gpp(address, photographs / "3.png")
    assert result.returncode == 0, result.stderr
    pose = json.loads(result.stdout)
    assert (pose["id"], pose["type"], pose["accuracy"]["orientation"]) == ("request-1", "geopose", 30)
    assert pose["accuracy"]["position"] >= 10
    assert pose["geopose"]["position"]["lat"] == pytest.approx(NORTH, abs=1e-3)
    assert pose["geopose"]["quaternion"] == {"x": 0, "y": 0, "z": 0, "w": 1}
    near = gpp(address, photographs / "3.png", 35.0, 139.0, 20)
    assert json.loads(near.stdout)["geopose"]["position"]["lat"] == pytest.approx(NORTH, abs=1e-3)
    assert "prior_holds_nothing" in gpp(address, photographs / "3.png", -35.0, 139.0, 20).stderr


def test_the_geopose_client_gets_the_reason_for_no_pose_and_180_degrees_for_an_unknown_heading(
    photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    for name, row in (("nowhere", ""), ("headless", "1.png,35.0,139.0\n")):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(photographs / "1.png", folder)
        (folder / "locations.csv").write_text(f"file,latitude,longitude\n{row}")
        build_index(
            str(folder), str(encoder_folder), tmp_path / "maps" / name, BuildOptions(device="cpu", progress=False)
        )
        calibrate(tmp_path / "maps" / name)
    with hosted(tmp_path / "maps") as address:
        headless = json.loads(gpp(f"{address}/geopose?index=headless", photographs / "1.png").stdout)
        assert headless["accuracy"]["orientation"] == 180
        assert headless["geopose"]["quaternion"] == {"x": 0, "y": 0, "z": 0, "w": 1}
        assert "not_located" in gpp(f"{address}/geopose?index=nowhere", photographs / "1.png").stderr


def test_an_accept_header_with_thousands_of_formats_is_not_parsed(client: httpx.Client, photographs: Path) -> None:
    content = (photographs / "1.png").read_bytes()
    for ranges, status in ((400, 200), (2000, 431)):
        accept = "a/b;q=1," * ranges + "*/*"
        answer = client.post("/v1/query", content=content, headers={"Accept": accept})
        assert answer.status_code == status
    refused(answer, 431, "head_too_large")


def test_answers_contain_file_names_only_if_the_settings_allow_it(
    index: Path, client: httpx.Client, photographs: Path
) -> None:
    query = {"image": (photographs / "3.png").read_bytes()}
    assert client.post("/v1/query", files=query).json()["matches"][0]["file"] is None
    with hosted(index, name_files=True) as address, httpx.Client(base_url=address) as naming:
        answer = naming.post("/v1/query", files=query).json()
        best = answer["matches"][0]
        assert best["file"] == answer["best"]["file"] == "3.png"
        assert naming.get(f"/v1/references/{best['id']}").json()["file"] == "3.png"
        features = naming.post("/v1/query", files=query, headers={"Accept": "application/geo+json"}).json()["features"]
        assert features[-1]["properties"]["file"] and str(photographs) not in str(features)


def test_geojson_answers_match_their_schema(client: httpx.Client, photographs: Path) -> None:
    query = {"image": (photographs / "3.png").read_bytes()}
    answer = client.post("/v1/query", files=query, headers={"Accept": "application/geo+json"})
    read = FeatureCollection.model_validate_json(answer.content, strict=True)
    assert [feature.properties.role for feature in read.features][:2] == ["location", "match"]
    assert read.model_dump(exclude_unset=True) == answer.json()
