"""`daco-index search` on a query set: prediction files, lists of pairs, unreadable photographs."""

import csv
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from daco_core.errors import NotFound, UsageError
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.search.bundle import Bundle
from daco_index.search.query_set import find_queries, predict


@pytest.fixture(scope="module")
def queries(built, tmp_path_factory):
    """A folder with folders in it: four photographs of the index, and a file that is none."""
    folder = tmp_path_factory.mktemp("queries")
    for number, place in enumerate(("north", "north", "south", "south")):
        (folder / place).mkdir(exist_ok=True)
        shutil.copy(built[0] / f"{number:03d}.png", folder / place / f"q{number}.png")
    (folder / "north" / "broken.jpg").write_text("not a picture")
    return folder


def test_a_folder_of_queries_gives_csv_and_pairs_and_unreadable_files_are_counted(built, queries, daco_index):
    out, pairs = queries.with_suffix(".csv"), queries.with_suffix(".txt")
    done = daco_index("search", queries, "--index", built[1], "-k", 3, "--out", out, "--pairs", pairs)
    assert done.returncode == 0, done.stderr
    assert "4 photographs looked up, 1 unreadable skipped" in done.stdout
    assert f"Skipped: {queries / 'north' / 'broken.jpg'}" in done.stderr
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["rank"] for row in rows] == ["1", "2", "3"] * 4
    first = {row["query"]: Path(row["file"]).name for row in rows if row["rank"] == "1"}
    assert first == {
        str(queries / "north" / "q0.png"): "000.png",
        str(queries / "north" / "q1.png"): "001.png",
        str(queries / "south" / "q2.png"): "002.png",
        str(queries / "south" / "q3.png"): "003.png",
    }
    lines = [line.split() for line in pairs.read_text().splitlines()]
    assert [names[0] for names in lines[::3]] == ["north/q0.png", "north/q1.png", "south/q2.png", "south/q3.png"]
    assert lines[0] == ["north/q0.png", "000.png"]


def test_json_names_unreadable_files_and_is_the_same_in_a_file_and_on_stdout(built, queries, daco_index, tmp_path):
    out = tmp_path / "predictions.json"
    done = daco_index("search", built[1], queries / "north", queries / "south" / "q2.png", "--json", "--out", out)
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert answer == json.loads(out.read_text())
    assert [Path(query["image"]).name for query in answer["queries"]] == ["q0.png", "q1.png", "q2.png"]
    assert list(answer["unreadable"]) == [str(queries / "north" / "broken.jpg")]
    assert answer["generation"] == 1


def test_without_a_file_a_table_shows_the_best_match_of_each(built, queries, daco_index):
    done = daco_index("search", built[1], queries / "south")
    assert "The best match of each photograph" in done.stdout
    assert [line.count("1.0000") for line in done.stdout.splitlines() if "q2" in line or "q3" in line] == [1, 1]


def test_queries_that_look_like_panoramas_give_a_warning(built, daco_index, tmp_path):
    for number in range(3):
        Image.new("RGB", (64, 32 if number else 48)).save(tmp_path / f"{number}.png")
    done = daco_index("search", built[1], tmp_path)
    (warning,) = [line for line in done.stderr.splitlines() if line.startswith("Warning: ")]
    assert "1.png (and 1 other): It is twice as wide as high" in warning
    assert "Warning" not in daco_index("search", built[1], tmp_path / "0.png").stderr


def test_strict_stops_at_an_unreadable_photograph_and_writes_nothing(built, queries, daco_index, tmp_path):
    done = daco_index("search", built[1], queries, "--strict", "--out", tmp_path / "p.csv")
    assert done.returncode == 1
    assert "broken.jpg cannot be read" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_query_set_without_a_readable_photograph_fails_and_writes_nothing(built, daco_index, tmp_path):
    (tmp_path / "broken.jpg").write_text("not a picture")
    done = daco_index("search", built[1], tmp_path, "--out", tmp_path / "p.json")
    assert done.returncode == 1
    assert "None of the 1 photographs can be read" in done.stderr
    assert not (tmp_path / "p.json").exists()


def test_a_query_set_gets_the_answers_of_its_single_photographs_in_order(built):
    bundle = Bundle.open(built[1])
    engine = query_engine(bundle, "cpu")
    found = find_queries([built[0]]).queries
    together = list(predict(bundle, engine.for_many(), found, 4, 20, batch_size=5, progress=False))
    alone = [next(predict(bundle, engine, [query], 4, 20, progress=False)) for query in found]
    assert [one.query for one in together] == found
    for one, other in zip(together, alone, strict=True):
        assert [match.entry.id for match in one.matches] == [match.entry.id for match in other.matches]
        similarities = [match.similarity for match in other.matches]
        assert [match.similarity for match in one.matches] == pytest.approx(similarities, abs=1e-5)


def test_queries_must_exist_and_may_be_given_only_once(queries, tmp_path):
    with pytest.raises(NotFound, match="no photograph or folder"):
        find_queries([tmp_path / "nowhere"])
    with pytest.raises(NotFound, match="contains no photographs"):
        find_queries([tmp_path])
    with pytest.raises(UsageError, match="given twice"):
        find_queries([queries, queries / "north" / "q0.png"])


@pytest.mark.parametrize(
    ("names", "sentence"), [(["a b.png"], "has a space"), (["one/q.png", "two/q.png"], "Two queries are named q.png")]
)
def test_ambiguous_names_are_rejected_in_pairs(built, photographs, daco_index, tmp_path, names, sentence):
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(built[0] / "000.png", tmp_path / name)
    sources = [tmp_path / name for name in names]
    done = daco_index("search", built[1], *sources, "--pairs", tmp_path / "pairs.txt")
    assert done.returncode == 1
    assert sentence in done.stderr
    assert not (tmp_path / "pairs.txt").exists()
