"""`daco-bench index`: descriptors resemble real ones, rows are measured, and the report agrees with them."""

import importlib.util
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from daco_bench.cli.main import app
from daco_bench.speed.search.report import growth, to_markdown
from daco_bench.speed.search.run import SearchRow, run_sizes, statistics
from daco_bench.speed.search.synthetic import VIEWS, SyntheticMap, statistics_of
from daco_core.errors import DacoError

INSTALLED = [name for name in ("usearch", "hnswlib") if importlib.util.find_spec(name)]


def test_synthetic_descriptors_have_the_statistics_of_real_ones():
    descriptors = np.concatenate(list(SyntheticMap(1280).descriptors(1500 * VIEWS)))[::VIEWS]
    found = statistics_of(descriptors)
    # of 1500 street photographs under EfficientNet-Lite0 with GeM
    assert found.mean == pytest.approx(0.823, abs=0.01)
    assert found.typical == pytest.approx(0.681, abs=0.01)
    assert found.decay == pytest.approx(0.88, abs=0.1)
    assert found.participation == pytest.approx(79, abs=10)
    assert found.nearest == pytest.approx(0.801, abs=0.04)
    assert found.tenth == pytest.approx(0.775, abs=0.04)
    np.testing.assert_allclose(np.linalg.norm(descriptors, axis=1), 1, atol=1e-5)


def test_synthetic_places_have_several_references_and_queries_in_another_condition():
    synthetic = SyntheticMap(64)
    map_ = np.concatenate(list(synthetic.descriptors(4000)))
    cosines = map_ @ map_.T
    same = np.arange(4000)[:, None] // VIEWS == np.arange(4000) // VIEWS
    assert cosines[same & ~np.eye(4000, dtype=bool)].mean() == pytest.approx(0.82, abs=0.02)
    assert cosines[~same].mean() == pytest.approx(0.68, abs=0.02)
    queries = synthetic.queries(200, 4000)
    assert np.median(queries @ map_.T) == pytest.approx(0.61, abs=0.03)
    np.testing.assert_array_equal(np.concatenate(list(SyntheticMap(64).descriptors(4000))), map_)
    np.testing.assert_array_equal(synthetic.queries(200, 4000), queries)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[SearchRow]:
    work = tmp_path_factory.mktemp("work")
    return list(run_sizes([1000, 5000], 32, 0.9, INSTALLED, work, lambda text: None))


def test_every_engine_is_measured_at_every_size_at_the_required_recall(rows):
    kinds = {("exact", asked) for asked in ("served", "no catalogue", "bare FAISS")}
    kinds |= {("small", asked) for asked in ("served", "no catalogue", "bare FAISS")}
    kinds |= {(name, name) for name in INSTALLED}
    for count in (1000, 5000):
        assert {(row.kind, row.asked) for row in rows if row.count == count} == kinds
    for row in rows:
        assert row.recall >= 0.8 if row.kind != "exact" else row.recall == 1.0
        assert row.query_ms > 0
        assert row.batch_ms > 0
        assert row.bytes_per_vector > 0
        assert row.disk_bytes_per_vector >= 4 * 32
        assert row.chosen == (row.kind == "exact")


def test_at_a_size_too_large_for_all_engines_only_the_compressed_index_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("daco_bench.speed.search.run.machine_memory", lambda: 3 * 4 * 5000 * 32)
    told: list[str] = []
    found = list(run_sizes([1000, 5000], 32, 0.9, [], tmp_path, told.append))
    assert {(row.kind, row.asked) for row in found if row.count == 5000} == {
        ("small", "served"),
        ("small", "no catalogue"),
    }
    assert len({row.kind for row in found if row.count == 1000}) == 2
    assert any("too many" in line for line in told)
    assert all(row.recall >= 0.8 for row in found)
    assert growth(found) is not None
    assert "| 5,000 |" in to_markdown(found)


def test_the_answers_of_an_index_are_those_of_bare_faiss(rows):
    for count in (1000, 5000):
        found = {row.asked: row.recall for row in rows if (row.count, row.kind) == (count, "small")}
        assert found["served"] == found["no catalogue"] == pytest.approx(found["bare FAISS"], abs=0.02)


def test_extrapolations_follow_the_measured_slopes():
    made = [
        SearchRow(count, "small", "no catalogue", "IVF", True, {}, 1, count**0.5, count**0.5, count, 100, 1000)
        for count in (10**4, 10**5, 10**6)
    ]
    grown = growth(made)
    assert grown is not None
    assert (grown.slopes["query_ms"], grown.slopes["build_cpu_seconds"]) == (0.5, 1)
    assert grown.far[10**8]["query_ms"] == pytest.approx(10**4)
    assert grown.far[10**9]["memory_bytes"] == pytest.approx(100 * 10**9)
    assert growth(made[:1]) is None


def test_the_table_contains_the_ratio_to_bare_faiss(rows):
    lines = to_markdown(rows).splitlines()
    row = next(row for row in rows if (row.count, row.kind, row.asked) == (5000, "small", "served"))
    bare = next(one for one in rows if (one.count, one.kind, one.asked) == (5000, "small", "bare FAISS"))
    line = next(line for line in lines if "5,000" in line and "| served |" in line and row.factory in line)
    assert f" {row.query_ms / bare.query_ms:.2f} " in line
    assert any("core hours" in line for line in lines)


def test_the_command_writes_json_and_a_picture_and_keeps_its_indexes(tmp_path):
    pytest.importorskip("matplotlib", reason="the extra plot is not installed")
    arguments = ["index", "--sizes", "1e3", "--dimension", "16", "--engines", "", "--work", str(tmp_path / "work")]
    done = CliRunner().invoke(app, [*arguments, "--json", "--plot", str(tmp_path / "sizes.svg")])
    report = json.loads(done.stdout)
    assert {row["count"] for row in report["rows"]} == {1000}
    assert report["growth"] is None
    assert (tmp_path / "sizes.svg").stat().st_size < 100_000
    again = CliRunner().invoke(app, arguments)
    assert "building" in done.stderr
    assert "building" not in again.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sizes", "many"], "--sizes needs numbers"),
        (["--sizes", "10"], "--sizes needs numbers from 1000"),
        (["--sizes", "1e12"], "use a smaller size"),
        (["--engines", "pinecone"], "There is no engine 'pinecone': choose from usearch, hnswlib"),
        (["--like", "nowhere"], "nowhere is not a folder"),
    ],
)
def test_an_impossible_benchmark_is_rejected_in_one_sentence(arguments, sentence):
    done = CliRunner().invoke(app, ["index", *arguments])
    assert isinstance(done.exception, DacoError)
    assert sentence in str(done.exception)


def test_the_statistics_of_an_own_index_can_be_compared_with_synthetic_descriptors(tmp_path):
    assert set(statistics(32)) == {"dimension", "synthetic"}
