"""Requests of the GeoPose Protocol are parsed as its clients send them, and limited in size before parsing."""

import base64
import json
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from daco_serve.http.geopose import ImageOrientation
from daco_serve.http.routes.geopose import JSON_BYTES

from .test_refusals import encoded, refused

ROUNDING = 2e-6  # degrees


def request(photograph: bytes | str, camera: dict[str, object] | None = None, **readings: object) -> dict[str, object]:
    text = photograph if isinstance(photograph, str) else base64.b64encode(photograph).decode()
    reading = {"sensorId": "0", "imageFormat": "JPG", "imageBytes": text, **(camera or {})}
    return {"id": "7", "sensorReadings": {"cameraReadings": [reading], **readings}}


def position(response: httpx.Response) -> dict[str, float]:
    assert response.status_code == 200, response.text
    found: dict[str, float] = response.json()["geopose"]["position"]
    return found


def test_the_image_format_is_read_from_the_file_and_not_from_the_request(
    client: httpx.Client, photographs: Path
) -> None:
    """As the reference client of the Open Spatial Computing Platform sends it."""
    buffer = BytesIO()
    Image.open(photographs / "3.png").save(buffer, "JPEG", quality=95)
    named = position(client.post("/geopose", json=request(buffer.getvalue())))
    for form in ("RGBA32", "GRAY8", "DEPTH", "anything"):
        camera = {"imageFormat": form, "size": [200, 160]}
        assert position(client.post("/geopose", json=request(buffer.getvalue(), camera))) == named
    raw = client.post("/geopose", json=request(bytes(4 * 200 * 160), {"imageFormat": "RGBA32"}))
    assert "RGBA32" in refused(raw, 415, "unsupported_format")


@pytest.mark.parametrize("rotation", [0, 90, 180, 270, -90, 450])
@pytest.mark.parametrize("mirrored", [False, True])
def test_image_orientation_turns_a_photograph_upright(
    client: httpx.Client, photographs: Path, rotation: int, mirrored: bool
) -> None:
    upright = Image.open(photographs / "1.png").convert("RGB")
    held = upright.rotate(rotation, expand=True)  # as the sensor saw it: Pillow turns anticlockwise
    if mirrored:
        held = held.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    restored = held
    for change in ImageOrientation(mirrored=mirrored, rotation=rotation).upright():
        restored = restored.transpose(change)
    assert restored.tobytes() == upright.tobytes()
    buffer, straight = BytesIO(), BytesIO()
    held.save(buffer, "PNG")
    upright.save(straight, "PNG")
    camera = {"imageOrientation": {"mirrored": mirrored, "rotation": rotation}}
    turned = position(client.post("/geopose", json=request(buffer.getvalue(), camera)))
    right = position(client.post("/geopose", json=request(straight.getvalue())))
    assert turned["lat"] == pytest.approx(right["lat"], abs=ROUNDING)  # turned before it is scaled, or after
    if (rotation % 360, mirrored) != (0, False):
        asked = position(client.post("/geopose", json=request(buffer.getvalue())))
        assert asked["lat"] != pytest.approx(right["lat"], abs=ROUNDING)


def test_the_height_that_the_device_reports_is_returned(client: httpx.Client, photographs: Path) -> None:
    content = (photographs / "1.png").read_bytes()
    place = {"latitude": 35.0, "longitude": 139.0}
    for readings, height in (
        ({}, 0.0),
        ({"geolocationReadings": [place]}, 0.0),
        ({"geolocationReadings": [{**place, "altitude": 41.5}]}, 41.5),
        ({"geoLocationReadings": [{**place, "altitude": -3}]}, -3.0),
    ):
        assert position(client.post("/geopose", json=request(content, **readings)))["h"] == height


def test_base64_is_accepted_in_every_json_escape(client: httpx.Client, photographs: Path) -> None:
    content = (photographs / "4.png").read_bytes()
    text = base64.b64encode(content).decode()
    assert "/" in text
    asked = json.dumps(request("@"))
    plain = position(client.post("/geopose", content=asked.replace("@", text)))
    for spelling in (text.replace("/", "\\/"), text.replace("/", "\\u002f"), f"data:image/png;base64,{text}"):
        assert position(client.post("/geopose", content=asked.replace("@", spelling))) == plain
    escaped = asked.replace("imageBytes", "imag\\u0065Bytes").replace("@", text)
    assert position(client.post("/geopose", content=escaped)) == plain
    unending = json.dumps(request("photograph " + "1" * 5000)).replace("imageBytes", "imag\\u0065Bytes")
    refused(client.post("/geopose", content=unending), 415, "not_an_image")
    two = request("photograph 1")
    two["sensorReadings"]["cameraReadings"].append({"imageFormat": "JPG", "imageBytes": text})  # type: ignore[index]
    refused(client.post("/geopose", json=two), 415, "not_an_image")  # a text is never another's photograph
    for wrong in ("no base64!", text[:-1], text[:50] + "\\n" + text[50:], "\\ud800", "é"):
        refused(client.post("/geopose", content=asked.replace("@", wrong).encode()), 415, "not_an_image")


@pytest.mark.parametrize(
    "much",
    [
        {"wifiReadings": [{"BSSID": "00:00:00:00:00:00", "RSSI": -50}] * 8000},
        {"cameraReadings": [{"imageBytes": "AAAA"}] * 20_000},
        {"geolocationReadings": [{"latitude": 0, "longitude": 0}] * 10_000},
        {"cameraReadings": [{"imageBytes": ""}] * 300},
        {"x": "y" * JSON_BYTES},
        {"\\" * JSON_BYTES: 1},
    ],
    ids=["sensors", "photographs", "empty ones", "positions", "a text", "a name"],
)
def test_the_json_besides_the_photograph_is_bounded(client: httpx.Client, much: dict[str, object]) -> None:
    asked = request(encoded("PNG"), **much)
    refused(client.post("/geopose", json=asked), 413, "json_too_large")


def test_lists_of_readings_are_bounded(client: httpx.Client) -> None:
    many = [{"latitude": 0, "longitude": 0}] * 300
    message = refused(
        client.post("/geopose", json=request(encoded("PNG"), geolocationReadings=many)), 422, "invalid_request"
    )
    assert "256" in message
