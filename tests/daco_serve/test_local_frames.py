"""Maps in a local frame: located, calibrated, exported and tracked in metres, with and without degrees."""

import json
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from daco_bench.calibration.own import calibrate as fit_calibration
from daco_bench.indexed_queries import IndexedQueries
from daco_core.errors import UsageError
from daco_index.build import BuildOptions, build_index
from daco_index.export.tables import export_geojson
from daco_index.generations.verify import verify_index
from daco_index.search.bundle import Bundle, SearchMatch
from daco_index.search.catalog import Entry
from daco_serve.api.evaluation import evaluate
from daco_serve.api.index import Index
from daco_serve.cli.main import app
from daco_serve.client import Client
from daco_serve.engine.localize import localize
from daco_serve.engine.tracking import FrameEvidence, States, Tracker
from daco_serve.http.schemas import Prior

from .conftest import calibrate, hosted


def refused(response: httpx.Response, status: int, code: str) -> str:
    """The sentence of a refusal."""
    error: dict[str, str] = response.json()["error"]
    assert (response.status_code, error["code"]) == (status, code), response.text
    return error["message"]


ANCHOR = {"name": "hall", "anchor": {"latitude": 49.0, "longitude": 10.0, "heading": 0, "altitude": 300}}


def local_folder(photographs: Path, folder: Path, count: int = 6, anchor: bool = False, apart: float = 10.0) -> Path:
    """The pictures with a table of metres, on a line along y."""
    folder.mkdir()
    rows = ["file,x,y,z,heading,floor"]
    for number in range(count):
        with Image.open(photographs / f"{number % 6}.png") as image:
            gain = 1.0 if count == 6 else 0.4 + number / 48
            image.point([int(value * gain) for value in range(256)] * 3).save(folder / f"{number:02}.png")
        rows.append(f"{number:02}.png,2.5,{apart * (number % 6)},1.5,350,G")
    (folder / "poses.csv").write_text("\n".join(rows))
    if anchor:
        (folder / "frame.json").write_text(json.dumps(ANCHOR))
    return folder


def built(folder: Path, encoder: Path) -> Path:
    out = folder.parent / f"map_{folder.name}"
    build_index(str(folder), str(encoder), out, BuildOptions(device="cpu", progress=False))
    return out


def test_an_index_without_degrees_answers_in_metres(photographs: Path, encoder_folder: Path, tmp_path: Path) -> None:
    index = built(local_folder(photographs, tmp_path / "hall"), encoder_folder)
    calibrate(index)
    assert Bundle.open(index).manifest.with_location == 6
    assert not any(one.problems for one in verify_index(index))
    content = (photographs / "3.png").read_bytes()
    with hosted(index) as address, httpx.Client(base_url=address) as client:
        answer: dict[str, Any] = client.post("/v1/query", content=content).json()
        assert answer["verdict"] == "located" and answer["place"] == "03"
        location = answer["location"]
        assert location["latitude"] is None and location["longitude"] is None and location["altitude"] is None
        assert location["local"]["frame"] == "local" and location["local"]["x"] == pytest.approx(2.5)
        assert location["local"]["z"] == 1.5 and location["floor"] == "G" and location["heading"] == 350
        assert 0 <= location["local"]["y"] <= 50 and 0 < location["uncertainty_metres"] < 100
        assert answer["matches"][0]["local"] == {"frame": "local", "x": 2.5, "y": 30.0, "z": 1.5}
        for accepted in ("application/geopose+json", "application/geopose+json;profile=basic-quaternion"):
            pose = client.post("/v1/query", content=content, headers={"Accept": accepted})
            assert "without an anchor" in refused(pose, 422, "not_located")
        features = client.post("/v1/query", content=content, headers={"Accept": "application/geo+json"}).json()
        assert features["features"][0]["geometry"] is None
        assert features["features"][0]["properties"]["local"]["x"] == 2.5
        near = client.post("/v1/query?prior=local:2.5,50,11", content=content).json()["matches"]
        assert sorted(match["local"]["y"] for match in near) == [40.0, 50.0]
        for prior, code in (
            ("yard:2.5,50,11", "prior_holds_nothing"),
            ("local:2.5,50", "bad_prior"),
            ("local:a,b,1", "bad_prior"),
        ):
            refused(client.post(f"/v1/query?prior={prior}", content=content), 422, code)
        assert client.get("/v1/references/3").json()["local"]["y"] == 30.0
        with Client(address) as ours:
            found = ours.query(content).location
            around = ours.query(content, prior=Prior(frame="local", x=2.5, y=50, metres=11), k=6).matches
            assert len(around) == 2
            assert found is not None and found.latitude is None and found.local is not None and found.floor == "G"
        for many in ([str(photographs / "3.png")], [str(photographs / f"{number}.png") for number in (1, 3)]):
            result = CliRunner().invoke(app, ["query", *many, "--url", address])
            assert result.exit_code == 0 and "2.50" in result.output, result.output
        for suffix, code in ((".csv", 0), (".gpx", 1), (".geojson", 1)):
            out = tmp_path / f"ride{suffix}"
            result = CliRunner().invoke(app, ["track", str(photographs), "--out", str(out), "--url", address])
            assert result.exit_code == code and out.exists() == (code == 0), result.output
    assert ",2.5," in (tmp_path / "ride.csv").read_text()
    with pytest.raises(UsageError, match="without an anchor"):
        export_geojson(Bundle.open(index), tmp_path / "map.geojson")


def test_an_index_with_an_anchor_answers_in_metres_and_degrees(
    photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    index = built(local_folder(photographs, tmp_path / "hall", anchor=True), encoder_folder)
    calibrate(index)
    content = (photographs / "0.png").read_bytes()
    with hosted(index) as address, httpx.Client(base_url=address) as client:
        location = client.post("/v1/query", content=content).json()["location"]
        assert location["latitude"] == pytest.approx(49.0, abs=1e-3) and location["local"]["frame"] == "hall"
        assert location["altitude"] == pytest.approx(301.5, abs=0.01)
        pose = client.post("/v1/query", content=content, headers={"Accept": "application/geopose+json"}).json()
        assert pose["position"]["h"] == location["altitude"]
        (first, *_) = client.post("/v1/query", content=content, headers={"Accept": "application/geo+json"}).json()[
            "features"
        ]
        assert first["geometry"]["coordinates"] == [location["longitude"], location["latitude"], location["altitude"]]
    export_geojson(Bundle.open(index), tmp_path / "map.geojson")
    features = json.loads((tmp_path / "map.geojson").read_text())["features"]
    assert len(features[0]["geometry"]["coordinates"]) == 3 and features[0]["properties"]["x"] == 2.5


def test_recall_and_calibration_use_metres_of_the_frame(
    photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    index = built(local_folder(photographs, tmp_path / "hall", apart=1000.0), encoder_folder)
    queries = local_folder(photographs, tmp_path / "queries", count=24, apart=1000.0)
    result = fit_calibration(IndexedQueries(index, str(queries), device="cpu"), progress=False)
    assert result.held_out is not None and result.right_errors, "errors are metres"
    by_index = evaluate(Index.open(index), queries)
    by_encoder = evaluate(tmp_path / "hall", queries, encoder_folder)
    assert by_index.queries == by_encoder.queries == 24
    assert 0.3 < by_index.recall[1] < 1


def entry(number: int, x: float, floor: str | None = None, frame: str = "local") -> Entry:
    return Entry(number, "", f"{frame} {number}", None, None, None, 1, 1, "", x=x, y=0.0, floor=floor, frame=frame)


def test_matches_on_another_floor_or_in_another_frame_show_another_place() -> None:
    entries = [entry(0, 0.0, "1"), entry(1, 1.0, "2"), entry(2, 2.0, "1"), entry(3, 0.0, frame="yard")]
    found = localize([SearchMatch(row + 1, 0.9, one) for row, one in enumerate(entries)])
    assert found.support == 2 and found.location is not None
    assert found.location.floor == "1" and found.location.x == 1.0 and found.location.frame == "local"


def test_a_track_stays_in_its_frame() -> None:
    entries = [entry(number, 5.0 * number, frame="hall") for number in range(10)]
    entries += [entry(10 + number, 5.0 * number, frame="yard") for number in range(10)]
    tracker = Tracker(States(entries))
    for number in range(2, 6):
        ids = [number, 10 + number, number + 1]
        estimate = tracker.update(FrameEvidence(np.array(ids), np.array([0.9, 0.85 if number > 2 else 0.6, 0.7])))
    assert estimate.status == "tracking" and estimate.frame == "hall" and estimate.latitude is None
    assert estimate.x == pytest.approx(25.0, abs=3) and estimate.y == 0.0
    assert estimate.uncertainty_metres is not None and estimate.uncertainty_metres < 50
