"""Confidence intervals and paired tests against values computed by hand or by enumeration, and the report's files."""

import json
import math
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_bench.recall.comparison import compare_answers
from daco_bench.recall.comparison_files import to_markdown, write_comparison
from daco_bench.recall.retrieval import Nearest, Retrieval
from daco_bench.recall.statistics import difference, holm, interval, wilson
from daco_bench.recall.table import RecallRow, recall_rows
from daco_core.errors import DacoError


def alone(count: int) -> np.ndarray:
    return np.arange(count)


def answers(method: str, hits: list[bool], folder: Path = Path()) -> Retrieval:
    """One answer a query: right where `hits` says so."""
    count = len(hits)
    images = [folder / f"{number}.png" for number in range(count + 1)]
    return Retrieval(
        method, "a->b", images[:count], images, np.full((count, 1), count), np.ones((count, 1), np.float32),
        np.array(hits)[:, None], np.ones(count, dtype=bool), alone(count),
        Nearest(np.full(count, count), np.ones(count, np.float32), np.where(hits, 1, 2)),
    )  # fmt: skip


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    """A folder of what two queries ask about."""
    folder = tmp_path / "photographs"
    folder.mkdir()
    for number in range(3):
        Image.new("RGB", (40, 30), (80 * number, 0, 0)).save(folder / f"{number}.png")
    return folder


def test_wilsons_interval_equals_the_formula() -> None:
    # 52 of 75, worked by hand
    assert wilson(100 * 52 / 75, 75) == (pytest.approx(58.17, abs=0.01), pytest.approx(78.62, abs=0.01))
    assert wilson(0.0, 10)[0] == 0.0
    assert wilson(100.0, 10)[1] == pytest.approx(100.0)


def test_the_bootstrap_interval_agrees_with_the_binomial_for_independent_queries() -> None:
    hits = alone(200) < 120
    low, high = interval(hits, alone(200))
    spread = 1.96 * 100 * math.sqrt(0.6 * 0.4 / 200)
    assert low == pytest.approx(60 - spread, abs=0.6)
    assert high == pytest.approx(60 + spread, abs=0.6)


def test_queries_of_one_place_are_drawn_together() -> None:
    hits = np.repeat(alone(50) < 30, 4)
    alike = interval(hits, np.repeat(alone(50), 4))
    assert alike == interval(alone(50) < 30, alone(50))
    independent = interval(hits, alone(200))
    assert alike[0] < independent[0] < independent[1] < alike[1]


def test_the_interval_has_a_width_even_if_all_queries_are_right() -> None:
    low, high = interval(np.ones(20, dtype=bool), alone(20))
    assert (low, high) == wilson(100.0, 20)
    assert low < 90


def test_the_paired_test_equals_an_exhaustive_permutation_test() -> None:
    one = np.array([True] * 8 + [False] * 4)
    other = np.array([False] * 7 + [True] * 2 + [False] * 3)  # seven gains, one loss
    found = difference(one, other, alone(12))
    gains = one.astype(int) - other.astype(int)
    swaps = np.array(list(product((-1, 1), repeat=12)))
    exact = (np.abs(swaps @ gains) >= abs(gains.sum())).mean()
    assert found.points == pytest.approx(50)
    assert found.p == pytest.approx(exact, abs=0.01)
    assert found.low < 50 < found.high


def test_methods_with_equal_answers_do_not_differ() -> None:
    hits = alone(30) < 12
    found = difference(hits, hits, alone(30))
    assert (found.points, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_p_values_of_several_tests_are_corrected_by_holms_method() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])


def test_the_best_method_is_tested_against_the_others_and_published_rows_follow_their_method() -> None:
    ours = [answers("simclr", [False] * 9 + [True]), answers("daco", [True] * 9 + [False])]
    published = [RecallRow("simclr (published)", "a->b", {1: 29.33}), RecallRow("npid (published)", "a->b", {1: 8.0})]
    found = compare_answers(ours, (1,), published)
    assert [row.method for row in found.rows] == ["simclr", "simclr (published)", "daco", "npid (published)"]
    (test,) = found.tests
    assert (test.method, test.than, test.difference.points) == ("daco", "simclr", pytest.approx(80))
    assert test.difference.p == test.adjusted < 0.05


def test_re_ranked_answers_are_tested_against_their_own_first_stage_only() -> None:
    plain = [answers("simclr", [False] * 9 + [True]), answers("daco", [True] * 5 + [False] * 5)]
    again = [replace(answers(f"{one.method}, re-ranked", [True] * 10), first_stage=one.method) for one in plain]
    found = compare_answers([plain[0], again[0], plain[1], again[1]], (1,))
    assert [(test.method, test.than) for test in found.tests] == [
        ("daco", "simclr"),
        ("simclr, re-ranked", "simclr"),
        ("daco, re-ranked", "daco"),
    ]
    assert found.tests[2].difference.points == pytest.approx(50)


def test_queries_without_a_right_reference_do_not_count() -> None:
    whole = answers("daco", [True, False, False, True])
    some = Retrieval(**{**vars(whole), "answerable": np.array([True, True, False, True])})
    (row,) = recall_rows([some], (1,))
    assert (row.queries, row.recalls[1]) == (3, pytest.approx(100 * 2 / 3))


def test_the_report_is_written_in_every_format_and_escapes_names(photographs: Path, tmp_path: Path) -> None:
    both = [answers("<b>daco</b>", [True, False], photographs), answers("simclr", [False, False], photographs)]
    found = compare_answers(both, (1,))
    files = write_comparison(found, both, (1,), "places", "daco-bench compare places", tmp_path / "new" / "places")
    texts = {file.suffix: file.read_text() for file in files}
    assert set(texts) == {".md", ".csv", ".json", ".html"}
    assert texts[".md"].strip() == to_markdown(found, (1,))
    assert json.loads(texts[".json"])["tests"][0]["points"] == 50.0
    assert "&lt;b&gt;daco" in texts[".html"]
    assert "<b>" not in texts[".html"]
    assert not re.search(r"(src|href)=.http", texts[".html"])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(file.name for file in files)


def test_a_report_that_cannot_be_written_is_reported_in_one_sentence(photographs: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    both = [answers("daco", [True, False], photographs)]
    with pytest.raises(DacoError, match="cannot be written"):
        write_comparison(compare_answers(both, (1,)), both, (1,), "places", "x", tmp_path / "file" / "places")
