"""`daco-bench serve` measures real servers with a real load, and counts what it measures."""

import json
import mmap
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from PIL import Image

from daco_bench.speed.serving.compare import MeasuredServer, ServingComparison
from daco_bench.speed.serving.report import ratios, to_markdown
from daco_bench.speed.serving.reranking import RerankingCost
from daco_bench.speed.serving.reranking import to_markdown as reranking_table
from daco_bench.speed.serving.scenes import choose_photographs, make_photographs
from daco_bench.speed.serving.servers import own_memory
from daco_bench.speed.serving.timings import ClientTimings
from daco_core.errors import DacoError

DACO_BENCH = "from daco_bench.cli.main import main; main()"


def timings(per_second: float, p50: float) -> ClientTimings:
    return ClientTimings(10, 0, 0, per_second, p50, p50, p50)


def test_latencies_become_rates_and_percentiles() -> None:
    measured = ClientTimings.of([0.01] * 90 + [0.02] * 9 + [0.5], 2.0, refused=3, errors=1)
    assert (measured.answered, measured.refused, measured.errors) == (100, 3, 1)
    assert (measured.per_second, measured.p50_ms, measured.p95_ms) == (50.0, 10.0, 20.0)
    assert 20 < measured.p99_ms < 500
    assert ClientTimings.of([], 1.0, errors=4).per_second == 0


def test_ratios_are_to_the_floor_and_to_each_other_server(tmp_path: Path) -> None:
    comparison = ServingComparison(
        {1: timings(20, 50), 2: timings(40, 50)},
        [
            MeasuredServer("daco-serve", {1: timings(18, 55), 16: timings(38, 400)}, 2**30),
            MeasuredServer("fastapi", {16: timings(19, 800)}, 2**31),
        ],
    )
    found = ratios(comparison)
    assert found["p50 at 1, of the floor's"] == 1.1
    assert found["requests/s at 16, of the floor's"] == 0.95
    assert found["requests/s at 16, of fastapi's"] == 2.0
    table = to_markdown(comparison, None, make_photographs(tmp_path, 1))
    assert "| fastapi | 16 | 19.0 | 800.0 |" in table and "| 2048 |" in table


def test_generated_photographs_are_jpegs_of_usual_camera_sizes(tmp_path: Path) -> None:
    files = make_photographs(tmp_path, 3)
    sizes = [Image.open(file).size for file in files]
    assert sizes == [(1280, 800), (1600, 1200), (1200, 1600)]
    assert all(0.05 < file.stat().st_size / (w * h) < 1 for file, (w, h) in zip(files, sizes, strict=True))
    assert choose_photographs(tmp_path) == files
    (tmp_path / "empty").mkdir()
    with pytest.raises(DacoError, match="no JPEGs"):
        choose_photographs(tmp_path / "empty")


def test_chosen_photographs_are_spread_over_the_whole_folder(tmp_path: Path) -> None:
    for number in range(127):
        (tmp_path / f"{number:03}.jpg").touch()
    chosen = [int(file.stem) for file in choose_photographs(tmp_path)]
    assert len(set(chosen)) == 64 and chosen[0] == 0 and chosen[-1] >= 125


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_private_memory_excludes_mapped_files(tmp_path: Path) -> None:
    file, size = tmp_path / "library", 64 * 2**20
    file.write_bytes(bytes(size))
    this = psutil.Process()
    before = own_memory(this)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert mapped.find(b"x") == -1  # touches every page
        assert abs(own_memory(this) - before) < size / 4
    # pages of its own: what the allocator has left over would not be new memory
    made = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    made.write(b"x" * size)
    assert own_memory(this) - before > 0.9 * len(made)


@pytest.mark.slow
@pytest.mark.parametrize("options", [("--servers", "daco-serve,fastapi,litserve"), ("--soak", "10")])
def test_every_server_answers_a_real_load(index: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    pytest.importorskip("litserve", reason="the extra bench is not installed")
    make_photographs(tmp_path, 2)
    words = ["serve", "--index", str(index), "--photographs", str(tmp_path), "--concurrency", "2", "--seconds", "2"]
    done = subprocess.run(
        [sys.executable, "-c", DACO_BENCH, *words, *options, "--json"],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    runs = [content["soak"]["timings"]] if "soak" in content else [one["runs"]["2"] for one in content["servers"]]
    assert len(runs) == (1 if "soak" in content else 3)
    assert all(run["answered"] > 0 and run["errors"] == run["refused"] == 0 for run in runs)


def test_the_cost_of_re_ranking_is_compared_round_by_round() -> None:
    def run(per_second: float, cpu_ms: float) -> ClientTimings:
        return replace(timings(per_second, 50), cpu_ms=cpu_ms)

    # the machine was slow in one round, which hit both alike
    rounds = [(run(40, 20), run(36, 22)), (run(20, 40), run(18, 44)), (run(40, 20), run(34, 23))]
    cost = RerankingCost.of(16, rounds)
    assert (cost.throughput, cost.cpu_ms) == (0.9, 3)
    assert (cost.without.per_second, cost.reranked.per_second) == (40, 34)
    table = reranking_table([cost]).splitlines()
    assert table[2].startswith("| without | 16 | 40.0 |") and table[3].endswith("| 0.90 |")


def test_the_cost_of_re_ranking_needs_an_index_with_local_descriptors(index: Path, tmp_path: Path) -> None:
    make_photographs(tmp_path, 1)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            DACO_BENCH,
            "serve",
            "--reranking",
            "--index",
            str(index),
            "--photographs",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0 and "has no local descriptors" in done.stderr
    assert "Traceback" not in done.stderr
