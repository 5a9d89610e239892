"""The commands of `daco-index`."""

import json
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def built_by_command(daco_index, encoder_folder, photographs, tmp_path_factory):
    root = tmp_path_factory.mktemp("cli")
    photographs(root / "[red] map", 5)
    (root / "[red] map" / "locations.csv").write_text("file,place,latitude,longitude,heading\n003.png,inn,1.5,2.5,90\n")
    (root / "[red] map" / "broken.jpg").write_text("not a picture")
    arguments = "build", "[red] map", "--encoder", encoder_folder, "--out", "maps/a", "--data_root", "d", "--json"
    return root, daco_index(*arguments, cwd=root)


def test_build_prints_json_on_stdout_and_progress_on_stderr(built_by_command):
    root, done = built_by_command
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["found"], report["manifest"]["count"]) == (6, 5)
    assert list(report["unreadable"]) == [str(root / "[red] map" / "broken.jpg")]
    assert report["images_per_second"] > 0
    assert "images/s" in done.stderr
    assert f"Skipped: {root / '[red] map' / 'broken.jpg'}" in done.stderr


def test_search_prints_the_same_matches_as_a_table_and_as_json(built_by_command, daco_index):
    root, _ = built_by_command
    photograph = root / "[red] map" / "003.png"
    table = daco_index("search", photograph, "--index", "maps/a", "-k", 2, cwd=root).stdout
    for word in ("rank", "place", "similarity", "latitude", "longitude", "heading", "file", "inn", "1.0000", "90"):
        assert word in table
    assert str(photograph) in table
    answer = json.loads(daco_index("search", photograph, "--index", "maps/a", "-k", 9, "--json", cwd=root).stdout)
    assert [match["rank"] for match in answer["matches"]] == [1, 2, 3, 4, 5]
    first = answer["matches"][0]
    assert (first["place"], first["latitude"], first["longitude"], first["heading"]) == ("inn", 1.5, 2.5, 90)
    assert first["file"] == str(photograph)


def test_info_prints_the_manifest_as_text_and_as_json(built_by_command, daco_index):
    root, _ = built_by_command
    said = daco_index("info", "maps/a", cwd=root).stdout
    for word in ("5, 1 with a position", "[red] map", "test_resnet", "generation", "FAISS Flat"):
        assert word in said
    printed = daco_index("info", "maps/a", "--json", cwd=root).stdout
    assert printed == (root / "maps" / "a" / "generations" / "1" / "manifest.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["build", "nowhere", "--encoder", "{encoder}", "--out", "o"],
            "There is no nowhere: no such folder, video or recording, and no data set",
        ),
        (
            ["build", "[red] map", "--encoder", "nowhere", "--out", "o"],
            "There is no encoder nowhere: it is neither a folder nor one of default, megaloc",
        ),
        (["build", "[red] map", "--encoder", "{encoder}", "--out", "[red] map"], "other files than an index"),
        (["build", "[red] map", "--encoder", "{encoder}", "--out", "o", "--strict"], "broken.jpg cannot be read"),
        (["info", "nowhere"], "nowhere is not a folder"),
        (["search", "[red] map/broken.jpg", "--index", "maps/a"], "broken.jpg cannot be read"),
    ],
)
def test_a_mistake_is_reported_in_one_sentence_with_exit_code_1(
    built_by_command, daco_index, encoder_folder, arguments, sentence
):
    root, _ = built_by_command
    done = daco_index(*[argument.format(encoder=encoder_folder) for argument in arguments], cwd=root)
    assert done.returncode == 1
    error = done.stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert sentence in error
    assert "Traceback" not in done.stderr


def test_a_removal_prints_the_removed_photographs_as_json(own_index, daco_index):
    done = daco_index("remove", own_index, "--id", 3, "--json")
    removed = json.loads(done.stdout)["removed"]
    assert [(entry["id"], Path(entry["path"]).name) for entry in removed] == [(3, "003.png")]


def test_search_prints_no_escape_codes_of_file_names(encoder_folder, photographs, daco_index, tmp_path):
    photographs(tmp_path / "north", 2)
    name = "\x1b]0;gotcha\x07\x1b[31m.png"
    (tmp_path / "north" / "000.png").rename(tmp_path / "north" / name)
    (tmp_path / "north" / "\x1b[2Jbroken.png").write_text("no photograph")
    done = daco_index("build", tmp_path / "north", "--encoder", encoder_folder, "--out", tmp_path / "index")
    assert done.returncode == 0 and "\x1b]" not in done.stderr and r"\x1b[2Jbroken.png" in done.stderr
    done = daco_index("search", tmp_path / "north" / name, "--index", tmp_path / "index")
    assert done.returncode == 0 and "\x1b" not in done.stdout
    assert r"\x1b]0;gotcha\x07" in done.stdout.replace("\n", "").replace(" ", "")
    done = daco_index("search", tmp_path / "north" / "\x1b[2Jbroken.png", "--index", tmp_path / "index")
    assert done.returncode == 1 and "\x1b" not in done.stderr
