"""`daco-serve locate`: a query set is located without a server, as a server would answer."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

import daco_serve
from daco_core.errors import DacoError, UsageError
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_index.build import BuildOptions, build_index
from daco_index.search.query_set import find_queries
from daco_serve.api.query_set import check_form, locate_queries
from daco_serve.cli.main import app


@pytest.fixture(scope="module")
def queries(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs of the index in two folders, one that is broken, and a file of another kind."""
    folder = tmp_path_factory.mktemp("queries")
    for number in range(3):
        (folder / "inner").mkdir(exist_ok=True)
        shutil.copy(photographs / f"{number}.png", folder / ("inner" if number else ".") / f"q{number}.png")
    (folder / "broken.jpg").write_bytes(b"no image")
    (folder / "clip.mov").write_bytes(b"")
    return folder


def locate(*words: object) -> Result:
    return CliRunner().invoke(app, ["locate", *map(str, words), "--device", "cpu"])


def test_estimates_equal_those_of_localize_and_are_written_in_three_formats(
    index: Path, queries: Path, tmp_path: Path
) -> None:
    opened = daco_serve.Index.open(index, device="cpu")
    done = locate(queries, "--index", index, "--out", tmp_path / "a.csv", "--json")
    assert done.exit_code == 0, done.output
    answer = json.loads(done.stdout)
    assert "3 photographs, 1 unreadable skipped (left out: 1 MOV)" in done.stderr
    assert [Path(path).name for path in answer["unreadable"]] == ["broken.jpg"]
    assert (answer["generation"], answer["other_files"]) == (1, {"MOV": 1})
    with (tmp_path / "a.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(answer["queries"]) == 3
    for row, values in zip(rows, answer["queries"], strict=True):
        estimate = opened.localize(values["query"])
        assert estimate.location is not None and estimate.best is not None
        assert (values["verdict"], values["place"]) == (estimate.verdict, estimate.best.entry.place)
        assert values["latitude"] == pytest.approx(estimate.location.latitude, abs=1e-6)
        assert values["probability"] == pytest.approx(estimate.probability, abs=1e-3)
        assert float(row["latitude"]) == values["latitude"] and row["verdict"] == values["verdict"]
    assert locate(queries, "--index", index, "--out", tmp_path / "a.geojson").exit_code == 0
    features = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert [feature["geometry"]["coordinates"][:2] for feature in features] == [
        [values["longitude"], values["latitude"]] for values in answer["queries"]
    ]


def test_without_a_file_a_table_shows_the_verdict_of_each(index: Path, queries: Path) -> None:
    done = locate(queries / "inner", "--index", index)
    assert done.exit_code == 0, done.output
    assert [line.count("place 1") for line in done.stdout.splitlines() if "q1.png" in line] == [1]


def test_mistakes_are_reported_in_one_sentence(index: Path, queries: Path, tmp_path: Path) -> None:
    refused = {
        "must end in .csv, .json or .geojson": (queries, "--index", index, "--out", tmp_path / "a.txt"),
        "There is no photograph or folder": (queries / "none", "--index", index),
        "broken.jpg cannot be read": (queries, "--index", index, "--strict"),
        "None of the 1 photographs can be read": (queries / "broken.jpg", "--index", index),
    }
    for sentence, words in refused.items():
        done = locate(*words)
        assert isinstance(done.exception, DacoError) and sentence in str(done.exception)
        assert not list(tmp_path.iterdir())


def test_a_local_frame_gives_metres_and_no_geojson(photographs: Path, encoder_folder: Path, tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "hall").mkdir(exist_ok=True)
        shutil.copy(photographs / f"{number}.png", tmp_path / "hall" / f"{number}.png")
    places = {f"{number}.png": PhotoLocation(None, None, x=2.0 * number, y=1.0) for number in range(3)}
    write_locations(tmp_path / "hall", places)
    build_index(str(tmp_path / "hall"), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False))
    opened = daco_serve.Index.open(tmp_path / "index", device="cpu")
    with pytest.raises(UsageError, match="local frame without an anchor"):
        check_form(opened, tmp_path / "a.geojson")
    check_form(opened, tmp_path / "a.csv")
    queries = find_queries([tmp_path / "hall" / "2.png"]).queries
    (located,) = locate_queries(opened, queries, progress=False)
    assert located.values()["latitude"] is None and located.values()["frame"] == "local"
    assert located.values()["place"] == "2"
