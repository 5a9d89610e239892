"""`daco-train`: the published command lines, and its error messages."""

import os
import subprocess
from pathlib import Path

import pytest

from daco_training.cli.train import join_lists
from daco_training.loop.settings import TrainOptions


def run(forked: Path, *options: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "200"}
    command = [forked / "daco-train", *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, cwd=cwd)


@pytest.mark.parametrize(
    ("given", "joined"),
    [
        (["--gpu_ids", "0", "1", "--iters", "5"], ["--gpu_ids", "0,1", "--iters", "5"]),
        (["--gpu-ids", "0"], ["--gpu-ids", "0"]),
        (["--ranks", "1", "2", "--gpu_ids", "0,1"], ["--ranks", "1,2", "--gpu_ids", "0,1"]),
        (["--ranks=1,2", "--seed", "1"], ["--ranks=1,2", "--seed", "1"]),
    ],
)
def test_lists_can_be_written_as_in_the_published_commands(given: list[str], joined: list[str]) -> None:
    assert join_lists(given) == joined


def test_every_published_option_is_accepted_in_both_spellings(forked: Path, places: Path, tmp_path: Path) -> None:
    published = {
        "data_root": places, "data_name": "places", "method_name": "moco", "proj_dim": 16, "temperature": 0.1,
        "batch_size": 8, "iters": 1, "ranks": "1,2,4", "save_root": tmp_path, "lamda": 0.8, "negs": 16, "momentum": 0.9,
    }  # fmt: skip
    for number, spell in enumerate((str, lambda name: name.replace("_", "-"))):
        options = [word for name, value in published.items() for word in (f"--{spell(name)}", str(value))]
        done = run(forked, *options, "--backbone", "test_resnet", "--image_size", "32", "--workers", number)
        assert done.returncode == 0, done.stderr
        header = (tmp_path / "places_moco_results.csv").read_text().splitlines()[0]
        assert "recall@4" in header
        assert "recall@8" not in header


@pytest.mark.parametrize("gpu_ids", [["--gpu_ids", "0", "1"], ["--gpu-ids", "7"]])
def test_a_missing_gpu_is_reported_in_one_sentence(forked: Path, places: Path, gpu_ids: list[str]) -> None:
    done = run(forked, "--data_root", places, "--data_name", "places", *gpu_ids)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: This machine has no GPU")
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--data_name", "nowhere"], "nowhere"),
        (["--method_name", "byol"], "byol"),
        (["--backbone", "resnet5"], "resnet5"),
        (["--precision", "fp16"], "fp16"),
        (["--precision", "fp8"], "fp8"),
        (["--ranks", "one"], "--ranks"),
        (["--ranks", "0"], "--ranks"),
        (["--iters", "0"], "--iters"),
        (["--batch_size", "1"], "--batch_size"),
        (["--pretrained", "missing.pth"], "missing.pth"),
        (["--resume"], "--resume"),
        (["--save_root", "/dev/null/result"], "/dev/null/result"),
    ],
)
def test_mistakes_are_reported_in_one_sentence(
    forked: Path, places: Path, tmp_path: Path, options: list[str], word: str
) -> None:
    base = ["--data_root", places, "--data_name", "places", "--save_root", tmp_path, "--backbone", "test_resnet"]
    done = run(forked, *base, "--batch_size", "8", *options, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_options_that_are_not_given_have_the_published_values() -> None:
    published = {"daco": (16, 0.5), "simclr": (32, 0.5), "simsiam": (32, 0.5), "moco": (32, 0.999), "npid": (64, 0.5)}
    for method, (batch_size, momentum) in published.items():
        made = TrainOptions(method_name=method).resolve()
        assert (made.batch_size, made.momentum) == (batch_size, momentum)
    made = TrainOptions().resolve()
    assert (made.data_name, made.proj_dim, made.temperature, made.iters) == ("tokyo", 128, 0.1, 40000)
    assert (made.lamda, made.negs, made.ranks, made.lr, made.weight_decay) == (0.8, 4096, (1, 2, 4, 8), 1e-3, 1e-6)
    assert made.backbone == "resnet50"


def test_help_names_every_option_with_its_default(forked: Path) -> None:
    done = run(forked, "--help")
    assert done.returncode == 0
    for word in ("--gpu_ids", "--momentum", "--resume", "40000", "Ctrl-C"):
        assert word in done.stdout
