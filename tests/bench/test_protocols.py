"""Recall by published protocols, on small folders in the layout of VPR-datasets-downloader, and by a table of truth."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from daco_bench.cli.main import app
from daco_bench.recall.protocols.chosen import choose_task
from daco_bench.recall.protocols.published import PROTOCOLS, find_protocol
from daco_bench.recall.protocols.published_task import published_task
from daco_bench.recall.protocols.truth import truth_task
from daco_core.errors import NotFound, UsageError


def write(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        Image.new("RGB", (40, 30), "grey").save(folder / name)


def utm_names(north: list[float], zone: str = "54@S") -> list[str]:
    return [f"@0386000.00@{3950000 + metres:010.2f}@{zone}@@@@@@@@@@@.jpg" for metres in north]


def frame_names(numbers: range, apart: float) -> list[str]:
    """As download_nordland.py and download_nordland_subset.py name them."""
    return [f"@0@{number * apart:07.1f}@@@@@{number}@@@@@@@@.jpg" for number in numbers]


def right_answers(name: str, folder: Path) -> np.ndarray:
    """(queries, references): which answers the protocol takes for right."""
    found = published_task(find_protocol(name), folder)
    ((asking, asked),) = found.task.directions.values()
    return found.task.correct(asking, asked)


@pytest.mark.parametrize("name", [name for name, one in PROTOCOLS.items() if one.unit == "metres"])
def test_distances_are_between_utm_coordinates_and_25_m_is_still_right(name: str, tmp_path: Path) -> None:
    protocol = find_protocol(name)
    part = tmp_path / "images" / protocol.split
    write(part / protocol.reference_folder, utm_names([0, 25, 25.5, 1000]))
    write(part / protocol.query_folder, utm_names([0, 500]))
    assert right_answers(name, tmp_path).tolist() == [[True, True, False, False], [False] * 4]


def test_tokyo247_names_need_no_utm_zone(tmp_path: Path) -> None:
    write(tmp_path / "images/test/database", ["@10@20@@@@@@@@@@@@@.jpg"])
    write(tmp_path / "images/test/queries", ["@10@44@@@@@@@@@@@@@.jpg"])
    assert right_answers("tokyo247", tmp_path).tolist() == [[True]]


def test_nordland_by_one_frame_and_by_ten_reads_numbers_from_either_spacing(tmp_path: Path) -> None:
    for name, tolerance, apart in (("nordland", 1, 25 / 1.5), ("nordland-10", 10, 25 / 10.5)):
        folder = tmp_path / name
        write(folder / "images/test/database", frame_names(range(40), apart))
        write(folder / "images/test/queries", frame_names(range(0, 40, 10), apart))
        right = right_answers(name, folder)
        numbers = [int(path.name.split("@")[7]) for path in sorted((folder / "images/test/database").iterdir())]
        expected = [[abs(query - number) <= tolerance for number in numbers] for query in range(0, 40, 10)]
        assert sorted(map(tuple, right)) == sorted(map(tuple, expected))


@pytest.mark.parametrize("name", ["sped", "amstertime"])
def test_pairs_are_right_if_their_numbers_are_equal(name: str, tmp_path: Path) -> None:
    for side in ("database", "queries"):
        write(
            tmp_path / "images/test" / side, [f"@0@{number * 1000}@@@@@{number:04d}@@@@@@@@.jpg" for number in (1, 2)]
        )
    assert right_answers(name, tmp_path).tolist() == [[True, False], [False, True]]


def test_a_query_without_a_right_answer_counts_as_a_miss(tmp_path: Path) -> None:
    write(tmp_path / "images/test/database", utm_names([0, 100]))
    write(tmp_path / "images/test/queries", utm_names([0, 500]))
    task = published_task(find_protocol("pitts30k"), tmp_path).task
    vectors = np.eye(4, dtype=np.float32)[[0, 1, 0, 1]]
    (direction,) = task.directions
    answers = task.rank(vectors, "test", direction)
    assert (answers.count, answers.recall(1)) == (2, 0.5)


def test_the_rule_is_printed_and_other_sizes_are_said_not_to_be_comparable(tmp_path: Path) -> None:
    write(tmp_path / "sets/tokyo247/images/test/database", utm_names([0, 100]))
    write(tmp_path / "sets/tokyo247/images/test/queries", utm_names([10]))
    options = ["--protocol", "tokyo247", "--data-root", str(tmp_path / "sets"), "--rerank", "0"]
    done = CliRunner().invoke(app, ["recall", "tokyo247", *options, "--json"])
    assert done.exit_code == 0, done.output
    assert "right within 25 m" in done.stderr and "315 queries, 75,984 references" in done.stderr
    assert "There are 1 queries and 2 references here" in done.stderr
    content = json.loads(done.stdout)
    assert content["protocol"]["name"] == "tokyo247" and content["protocol"]["comparable"] is False
    assert content["protocol"]["here"] == {"queries": 1, "references": 2}
    assert list(content["rows"][0]["recall"]) == ["R@1", "R@5", "R@10", "R@20"]


def test_an_error_says_what_a_protocol_needs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no protocol 'oxford'"):
        find_protocol("oxford")
    write(tmp_path / "images/test/database", ["plain.jpg"])
    with pytest.raises(NotFound, match=r"svox-night: name these two"):
        right_answers("svox-night", tmp_path)
    write(tmp_path / "images/test/queries", ["plain.jpg"])
    with pytest.raises(UsageError, match="does not contain UTM coordinates"):
        right_answers("pitts30k", tmp_path)
    with pytest.raises(UsageError, match="the number of its frame"):
        right_answers("nordland", tmp_path)
    with pytest.raises(UsageError, match="only one of"):
        choose_task("x", tmp_path, None, None, 25.0, None, "pitts30k")


@pytest.fixture
def street(tmp_path: Path) -> Path:
    write(tmp_path / "database", ["a.jpg", "b.jpg", "c.jpg"])
    write(tmp_path / "queries", ["x.jpg", "y.jpg"])
    return tmp_path


def test_a_table_names_the_right_answers_and_other_queries_do_not_count(street: Path) -> None:
    rows = "query,reference\nqueries/x.jpg,database/b.jpg\nx.jpg,c.jpg\n"
    (street / "truth.csv").write_text(rows)
    found = truth_task(street / "database", street / "queries", street / "truth.csv")
    ((asking, asked),) = found.task.directions.values()
    assert found.task.correct(asking, asked).tolist() == [[False, True, True], [False] * 3]
    assert found.unlisted == 1
    vectors = np.eye(4, dtype=np.float32)[[0, 1, 2, 1, 3]]
    (direction,) = found.task.directions
    answers = found.task.rank(vectors, "test", direction)
    assert (answers.count, answers.recall(1)) == (1, 1.0)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("query;place\nx.jpg;a.jpg\n", "lacks the column 'reference'"),
        ("query,reference\nx.jpg,nowhere.jpg\n", "line 2: there is no photograph nowhere.jpg in"),
        ("query,reference\nx.jpg,\n", "line 2: it does not name"),
        ("query,reference\n", "names no pairs"),
    ],
)
def test_an_invalid_table_is_rejected_with_its_line(street: Path, table: str, sentence: str) -> None:
    (street / "truth.csv").write_text(table)
    with pytest.raises(UsageError, match=sentence):
        truth_task(street / "database", street / "queries", street / "truth.csv")


def test_the_command_accepts_a_table_of_right_answers(street: Path) -> None:
    (street / "truth.csv").write_text("Reference;Query\na.jpg;x.jpg\nb.jpg;y.jpg\n")
    shutil.copy(street / "truth.csv", street / "other.csv")
    folders = ["--database", str(street / "database"), "--queries", str(street / "queries")]
    done = CliRunner().invoke(
        app, ["recall", *folders, "--truth", str(street / "truth.csv"), "--json", "--rerank", "0"]
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["rows"][0]["queries"] == 2
