"""The figures of `daco-bench` agree with the answers that they show."""

import base64
import io
import json
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from daco_bench.cli import main as bench_cli
from daco_bench.figures.failures import hardest_failures
from daco_bench.figures.framed import RIGHT, WRONG
from daco_bench.figures.hit_map import east_north, hit_map
from daco_bench.figures.strips import query_strips
from daco_bench.figures.tsne import draw_planes, to_plane
from daco_bench.recall.comparison import compare_answers
from daco_bench.recall.comparison_files import write_comparison
from daco_bench.recall.precision_recall import precision_recall
from daco_bench.recall.retrieval import Nearest, Retrieval
from daco_bench.recall.task import Task
from daco_core.errors import DacoError
from daco_core.photographs.contact_sheet import GAP
from daco_core.photographs.locations import PhotoLocation, write_locations

COLOURS = [(250, 200, 0), (0, 200, 250), (120, 0, 120), (60, 60, 60)]

Bench = Callable[..., Any]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Bench:
    """Runs `daco-bench` in this process: what it prints as JSON, or else the text; a refusal is its sentence."""

    def run(*options: object) -> Any:
        monkeypatch.setattr(sys, "argv", ["daco-bench", *map(str, options), "--device", "cpu"])
        with pytest.raises(SystemExit) as left:
            bench_cli.main()
        printed = capsys.readouterr().out
        return left.value.code or (json.loads(printed) if printed.startswith("{") else printed)

    return run


@pytest.fixture
def painted(tmp_path: Path) -> list[Path]:
    """A photograph of each of the `COLOURS`."""
    files = [tmp_path / f"{number}.png" for number in range(len(COLOURS))]
    for file, colour in zip(files, COLOURS, strict=True):
        Image.new("RGB", (80, 60), colour).save(file)
    return files


def answered(
    images: Sequence[Path], first: Sequence[int], right: Sequence[bool], scores: Sequence[float], method: str = "ours"
) -> Retrieval:
    """Queries that all have an answer in the third image; the first ones ask."""
    count = len(first)
    nearest = Nearest(np.full(count, 2), np.full(count, 0.5, np.float32), np.where(right, 1, 2))
    return Retrieval(
        method, "a->b", list(images[:count]), list(images), np.array(first)[:, None],
        np.array(scores, np.float32)[:, None], np.array(right)[:, None], np.ones(count, bool), np.arange(count),
        nearest,
    )  # fmt: skip


def test_strips_frame_right_matches_green_and_wrong_ones_red(painted: list[Path]) -> None:
    ours = answered(painted, [2, 2], [True, True], [0.9, 0.8])
    theirs = answered(painted, [3, 2], [False, True], [0.9, 0.8], "theirs")
    sheet = query_strips([ours, theirs], cell=100)

    step, down = 100 + GAP, (sheet.height - query_strips([ours], count=1, cell=100).height)

    def cell(row: int, column: int) -> tuple[Any, Any]:
        """The colours of a frame, halfway up its left side, and of the photograph in its middle."""
        left, middle = GAP + column * step, sheet.height - GAP - down // 2 - (1 - row) * down
        return sheet.getpixel((left + 2, middle)), sheet.getpixel((left + 50, middle))

    assert [cell(0, column) for column in (1, 2)] == [(RIGHT, COLOURS[2]), (WRONG, COLOURS[3])]
    assert [cell(1, column) for column in (1, 2)] == [(RIGHT, COLOURS[2]), (RIGHT, COLOURS[2])]
    assert [cell(row, 0)[1] for row in (0, 1)] == COLOURS[:2]
    assert all(cell(row, 0)[0] not in (RIGHT, WRONG) for row in (0, 1))


def test_a_seed_draws_the_same_queries_for_all_methods(painted: list[Path]) -> None:
    ours, theirs = (answered(painted, [2, 2], [True, True], [0.9, 0.8], method) for method in ("ours", "theirs"))
    for seed in range(4):
        alone, beside = query_strips([ours], 1, seed), query_strips([ours, theirs], 1, seed)
        assert beside.crop((0, 0, *alone.size)).tobytes() == alone.tobytes()
    assert len({query_strips([ours], 1, seed).tobytes() for seed in range(8)}) == 2


def test_precision_and_recall_equal_those_computed_by_hand() -> None:
    answers = answered([Path(f"{n}") for n in range(4)], [2] * 4, [True, False, True, False], [0.9, 0.8, 0.7, 0.6])
    answers.answerable[3] = False  # believing a match for it is wrong, and it has no share in recall
    curve = precision_recall(answers)
    assert curve.precision == pytest.approx([1, 1 / 2, 2 / 3, 2 / 4])
    assert curve.recall == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert curve.recall[-1] == pytest.approx(answers.recall(1))
    assert curve.average_precision == pytest.approx(1 / 3 + 1 / 3 * 2 / 3)
    assert curve.full == pytest.approx((1 / 3, 0.9))


def test_matches_with_equal_similarity_share_a_threshold() -> None:
    curve = precision_recall(answered([Path("0"), Path("1")], [1, 1], [True, False], [0.5, 0.5]))
    assert (list(curve.precision), list(curve.recall)) == ([0.5], [0.5])
    assert curve.full == (0.0, None)


def test_curves_show_the_values_of_recall(bench: Bench, places: Path, small_encoder: Path, tmp_path: Path) -> None:
    options = ("places", "--data-root", places, "--encoder", small_encoder, "--json")
    curves = bench("curves", *options, "--last", 4, "--out", tmp_path / "new" / "curves.svg")["curves"]
    recalls = bench("recall", *options, "--ranks", "1,2,3,4")["rows"]
    keys = ("direction", "queries", "recall")
    assert [[curve[key] for key in keys] for curve in curves] == [[row[key] for key in keys] for row in recalls]
    assert 0 < curves[0]["recall"]["R@4"] < 100  # or else equal numbers would say little
    assert all(curve["average_precision"] <= curve["recall"]["R@1"] for curve in curves)
    assert "<svg" in (tmp_path / "new" / "curves.svg").read_text()


def test_the_hardest_failures_have_the_largest_gap_to_the_right_photograph(painted: list[Path]) -> None:
    # two queries of place 0, asked among b, c of which b shows it, by descriptors in the plane
    def task(queries: int, vectors: list[list[float]]) -> Retrieval:
        rows = np.arange(len(vectors))
        ways = {"a->b": (rows[:queries], rows[queries:])}
        files = [painted[row % len(painted)] for row in rows]
        same = Task("", files, ways, lambda asking, asked: np.tile(asked == queries, (len(asking), 1)), rows, "1", ())
        return same.rank(np.array(vectors, np.float32), "ours", "a->b", 1)

    answers = task(3, [[0.0, 1.0], [0.6, 0.8], [1.0, 0.0], [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    assert list(answers.nearest.images) == [3, 3, 3]
    assert list(answers.nearest.ranks) == [3, 3, 1]
    assert answers.nearest.scores == pytest.approx([0.0, 0.6, 1.0])
    worst, other = hardest_failures(answers, 8)
    assert (worst.found_score, worst.right_score, worst.right_rank) == (1.0, 0.0, 3)
    assert (other.margin, other.query) == (pytest.approx(0.96 - 0.6), painted[1])
    assert hardest_failures(answers, 1) == [worst]


def test_failures_are_listed_and_shown_for_each_method(
    bench: Bench, places: Path, small_encoder: Path, tmp_path: Path
) -> None:
    sheet = tmp_path / "failures.png"
    shown = bench(
        "failures", "places", "--data-root", places, "--direction", "a<->b", "--json", "--count", 2, "--out", sheet,
        "--encoder", f"one={small_encoder}", "--encoder", f"two={small_encoder}",
    )["failures"]  # fmt: skip
    assert [failure["method"] for failure in shown] == ["one", "one", "two", "two"]
    assert shown[0]["margin"] >= shown[1]["margin"] >= 0
    for failure in shown:
        right, query = Path(failure["right"]["file"]), Path(failure["query"])
        assert (right.name, right.parent) == (query.name, right.parent)
        assert Path(failure["found"]["file"]).name != query.name
        assert failure["right"]["rank"] > 1
    with Image.open(sheet) as image:
        colours = {colour for _, colour in image.getcolors(1 << 24)}
    assert {RIGHT, WRONG} <= colours


def test_no_picture_is_drawn_if_nothing_failed(bench: Bench, places: Path, small_encoder: Path, tmp_path: Path) -> None:
    same = places / "places" / "original" / "domain_a" / "val"
    folders = ("--database", same, "--queries", same, "--frames", 0)
    out = tmp_path / "failures.png"
    assert bench("failures", *folders, "--encoder", small_encoder, "--json", "--out", out)["failures"] == []
    assert not out.exists()


def test_metres_are_measured_from_the_middle_also_across_the_date_line() -> None:
    # a degree of latitude is 111.195 km on a sphere of the mean radius, of longitude at 60 degrees half of it
    points = east_north([PhotoLocation(59.99, 179.99), PhotoLocation(60.01, -179.99)])
    assert points[1] == pytest.approx([0.01 * 111_195 / 2, 0.01 * 111_195], rel=1e-4)
    assert points[0] == pytest.approx(-points[1])


def test_the_map_joins_wrong_matches_with_the_position_of_the_query(painted: list[Path]) -> None:
    located = {file: PhotoLocation(0.001 * row, 0.0) for row, file in enumerate(painted)}
    figure = hit_map([answered(painted, [3, 2], [False, True], [0.9, 0.8])], painted[2:], located)
    (axes,) = figure.axes
    north = axes.lines[0].get_ydata()[:2]
    assert list(north) == pytest.approx([1.5 * 111.195, -1.5 * 111.195], rel=1e-4)
    assert axes.get_title() == "ours, a->b: 1 right, 1 wrong"


def test_the_map_agrees_with_recall_and_gives_the_errors_in_metres(
    bench: Bench, places: Path, small_encoder: Path, tmp_path: Path
) -> None:
    for side, domain in (("database", "domain_a"), ("queries", "domain_b")):
        shutil.copytree(places / "places" / "original" / domain / "val", tmp_path / side)
        names = sorted(path.name for path in (tmp_path / side).iterdir())
        write_locations(tmp_path / side, {name: PhotoLocation(0.001 * row, 0.0) for row, name in enumerate(names)})
    options = (
        "--database",
        tmp_path / "database",
        "--queries",
        tmp_path / "queries",
        "--encoder",
        small_encoder,
        "--json",
    )
    queries = bench("map", *options, "--out", tmp_path / "map.png")["queries"]
    (row,) = bench("recall", *options)["rows"]
    assert len(queries) == row["queries"] == 6
    assert 100 * np.mean([query["right"] for query in queries]) == pytest.approx(row["recall"]["R@1"], abs=0.01)
    for query in queries:
        steps = abs(int(Path(query["query"]).stem[5:]) - int(Path(query["found"]).stem[5:]))
        assert query["metres"] == pytest.approx(steps * 111.2, abs=0.3)
        assert query["right"] == (steps == 0)


def test_t_sne_keeps_neighbours_together_and_is_reproducible() -> None:
    random = np.random.default_rng(0)
    centres = np.repeat(np.eye(3, 16), 12, axis=0)
    descriptors = (centres + 0.05 * random.standard_normal(centres.shape)).astype(np.float32)
    plane = to_plane(descriptors, seed=3)
    distances = np.linalg.norm(plane[:, None] - plane, axis=2) + np.diag(np.full(len(plane), np.inf))
    assert list(distances.argmin(axis=1) // 12) == [row // 12 for row in range(36)]
    assert (to_plane(descriptors, seed=3) == plane).all()


def test_lines_join_each_query_with_its_place_and_are_red_if_the_match_is_wrong(painted: list[Path]) -> None:
    answers = answered(painted, [3, 2], [False, True], [0.9, 0.8])
    plane = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [5.0, 5.0]])
    figure = draw_planes([plane], [answers], np.array([0, 1]), np.array([2, 3]))
    right, wrong = figure.axes[0].lines[:2]
    assert np.array(right.get_xydata())[:2].tolist() == [[1, 0], [1, 1]]
    assert np.array(wrong.get_xydata())[:2].tolist() == [[0, 0], [1, 1]]
    assert (right.get_color(), wrong.get_color()) == ("#a8a8a8", "#d7191c")


def test_t_sne_of_a_data_set_has_a_panel_for_each_encoder(
    bench: Bench, places: Path, small_encoder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tsne.svg"
    bench(
        "tsne",
        "places",
        "--data-root",
        places,
        "--encoder",
        small_encoder,
        "--encoder",
        f"b={small_encoder}",
        "--out",
        out,
    )
    assert len(re.findall(r'<g id="axes_\d+">', out.read_text())) == 2


@pytest.mark.parametrize(
    ("command", "options", "sentence"),
    [
        ("strips", ["--out", "strips.svg"], "--out must end in .png, .jpg or .jpeg; strips.svg does not."),
        ("tsne", ["--out", "tsne.gif"], "--out must end in .svg, .png or .pdf; tsne.gif does not."),
        ("strips", ["--direction", "b->c"], "There is no direction 'b->c': the directions are a->b, b->a, a<->b."),
        ("map", [], "12 of 12 photographs have no position"),
        ("curves", ["--encoder", "x=ENCODER", "--encoder", "x=ENCODER"], "Two encoders are named 'x'"),
        ("failures", ["--encoder", "x=nowhere"], "nowhere"),
        ("failures", ["--database", "nowhere"], "without a data set"),
    ],
)
def test_mistakes_are_reported_in_one_sentence(
    bench: Bench, places: Path, small_encoder: Path, command: str, options: list[str], sentence: str
) -> None:
    given = [word.replace("ENCODER", str(small_encoder)) for word in options]
    said = bench(command, "places", "--data-root", places, *given)
    assert said.startswith("Error: ")
    assert sentence in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("command", "module", "sentence"),
    [("tsne", "openTSNE", "needs openTSNE"), ("curves", "matplotlib.figure", "needs matplotlib")],
)
def test_a_missing_package_is_reported_before_the_work(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, places: Path, command: str, module: str, sentence: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    said = bench(command, "places", "--data-root", places, "--encoder", "nowhere")
    assert sentence in said
    assert "daco-serve[plot]" in said


def test_too_few_photographs_for_t_sne_are_rejected() -> None:
    with pytest.raises(DacoError, match="5 photographs or more, not 4"):
        to_plane(np.eye(4, dtype=np.float32))


@pytest.mark.parametrize("installed", [True, False])
def test_a_report_contains_its_pictures_and_is_written_without_matplotlib(
    painted: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    if not installed:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    answers = [answered(painted, [2, 3], [True, False], [0.9, 0.8], method) for method in ("ours", "theirs")]
    files = write_comparison(compare_answers(answers, (1,)), answers, (1,), "demo", "daco-bench", tmp_path / "out")
    page = files[-1].read_text()
    assert ("<svg" in page) == installed
    assert ("The recall curves are missing" in page) != installed
    (encoded,) = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert Image.open(io.BytesIO(base64.b64decode(encoded))).width > 3 * 150
    assert "<?xml" not in page
