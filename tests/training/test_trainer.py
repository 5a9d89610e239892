"""The training loop: published results, exactly resumable, with one or two processes."""

import csv
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from daco_core.errors import DacoError, UsageError
from daco_core.files import held_by_one_process
from daco_training.encoder.encoder import Encoder
from daco_training.loop.settings import TrainOptions, TrainSettings
from daco_training.loop.trainer import Trainer, train
from daco_training.views.dataset import Batch

ITERS = 6  # two epochs of three iterations


def settings(places: Path, result: Path, method: str = "daco", **changes: object) -> TrainSettings:
    small = {"backbone": "test_resnet", "image_size": 32, "iters": ITERS, "batch_size": 8, "negs": 16, "proj_dim": 16}
    values = {"data_root": places, "data_name": "places", "method_name": method, "save_root": result, "workers": 0}
    return TrainOptions(**{**values, **small, **changes}).resolve()  # type: ignore[arg-type]


def rows(run: TrainSettings) -> list[dict[str, str]]:
    with run.results_file.open() as stream:
        return list(csv.DictReader(stream))


def weights(run: TrainSettings) -> dict[str, torch.Tensor]:
    network: dict[str, torch.Tensor] = torch.load(run.checkpoint_file, weights_only=True)["network"]
    return network


@pytest.mark.parametrize("method", ["daco", "simclr", "simsiam", "moco", "npid"])
def test_a_run_that_stopped_and_resumed_ends_as_one_that_did_not(places: Path, tmp_path: Path, method: str) -> None:
    whole = settings(places, tmp_path / "whole", method)
    assert train(whole, accelerator="cpu").finished
    parts = settings(places, tmp_path / "parts", method)
    train(parts.but(iters=4), accelerator="cpu")  # stops within the second epoch
    train(parts, resume=True, accelerator="cpu")
    assert rows(parts) == rows(whole)
    torch.testing.assert_close(weights(parts), weights(whole), rtol=0, atol=0)


def test_results_have_a_row_for_each_epoch_with_the_published_columns(places: Path, tmp_path: Path) -> None:
    run = settings(places, tmp_path)
    train(run, accelerator="cpu")
    table = rows(run)
    recalls = [f"val_{way}_recall@{k}" for k in (1, 2, 4, 8) for way in ("ab", "ba", "cross")]
    assert list(table[0]) == ["epoch", "train_loss", "val_precise", *recalls]
    assert [row["epoch"] for row in table] == ["1", "2"]
    for row in table:
        firsts = [float(row[f"val_{way}_recall@1"]) for way in ("ab", "ba", "cross")]
        assert float(row["val_precise"]) == pytest.approx(sum(firsts) / 3)
        assert math.isfinite(float(row["train_loss"]))


def test_the_best_epochs_encoder_is_kept_and_records_its_training(places: Path, tmp_path: Path) -> None:
    run = settings(places, tmp_path)
    train(run, accelerator="cpu")
    encoder = Encoder.load(run.encoder_folder)
    assert encoder.config.training["method_name"] == "daco"
    assert encoder.config.training["iteration"] in (3, 6)
    kept = sum(values["1"] for values in encoder.config.recall.values()) / 3
    assert 100 * kept == pytest.approx(max(float(row["val_precise"]) for row in rows(run)))
    assert str(tmp_path) not in (run.encoder_folder / "encoder.json").read_text(), "no path of a machine in an encoder"


def test_validation_runs_as_often_as_requested_and_a_run_resumes_in_between(places: Path, tmp_path: Path) -> None:
    run = settings(places, tmp_path / "whole", "simclr", iters=5, val_every=2)
    train(run, accelerator="cpu")
    assert [row.get("iteration") for row in rows(run)] == ["2", "4", "5"]
    parts = settings(places, tmp_path / "parts", "simclr", iters=5, val_every=2)
    train(parts.but(iters=3), accelerator="cpu")
    assert [row["iteration"] for row in rows(parts)] == ["2", "3"]
    train(parts, resume=True, accelerator="cpu")
    assert rows(parts) == rows(run)


def test_a_checkpoint_is_written_within_an_epoch_after_the_interval(
    places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = settings(places, tmp_path, "simclr", iters=6, checkpoint_minutes=1e-9)
    step = Trainer._step

    def crash_in_the_third(trainer: Trainer, batch: Batch) -> torch.Tensor:
        if trainer.progress.iteration == 2:
            raise MemoryError
        return step(trainer, batch)

    monkeypatch.setattr(Trainer, "_step", crash_in_the_third)
    with pytest.raises(MemoryError):
        train(run, accelerator="cpu")
    saved = torch.load(run.checkpoint_file, weights_only=True)
    assert saved["progress"]["iteration"] == 2, "within the first epoch, which has three"


def test_short_epochs_do_not_each_write_a_checkpoint(
    places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saves = []
    save = Trainer._save
    monkeypatch.setattr(Trainer, "_save", lambda self: (saves.append(self.progress.iteration), save(self)))
    train(settings(places, tmp_path, "simclr", iters=12), accelerator="cpu")
    assert saves == [3, 12], "the first epoch of three iterations, and the end"


def test_methods_without_twins_need_no_generated_folder(places: Path, tmp_path: Path) -> None:
    (tmp_path / "data" / "places").mkdir(parents=True)
    (tmp_path / "data" / "places" / "original").symlink_to(places / "places" / "original")
    run = settings(tmp_path / "data", tmp_path, "simclr", iters=1)
    assert train(run, accelerator="cpu").finished
    with pytest.raises(DacoError, match="daco-data translate"):
        train(settings(tmp_path / "data", tmp_path, "daco", iters=1), accelerator="cpu")


def test_domains_without_aligned_validation_pairs_are_trained_without_recall(places: Path, tmp_path: Path) -> None:
    for kind in ("original", "generated"):
        for domain in ("domain_a", "domain_b"):
            folder = tmp_path / "data" / "places" / kind / domain
            folder.mkdir(parents=True)
            (folder / "train").symlink_to(places / "places" / kind / domain / "train")
    run = settings(tmp_path / "data", tmp_path)
    train(run, accelerator="cpu")
    assert all(row["val_precise"] == "" for row in rows(run))
    assert Encoder.load(run.encoder_folder).config.training["iteration"] == ITERS


def test_resuming_with_other_settings_is_rejected(places: Path, tmp_path: Path) -> None:
    train(settings(places, tmp_path, iters=1), accelerator="cpu")
    with pytest.raises(DacoError, match=r"temperature was 0\.1, now 0\.2"):
        train(settings(places, tmp_path, temperature=0.2), resume=True, accelerator="cpu")
    with pytest.raises(DacoError, match="no run to resume"):
        train(settings(places, tmp_path / "elsewhere"), resume=True, accelerator="cpu")


def test_resuming_with_other_photographs_is_rejected(places: Path, tmp_path: Path) -> None:
    shutil.copytree(places, tmp_path / "data")
    run = settings(tmp_path / "data", tmp_path, "npid", iters=1)
    train(run, accelerator="cpu")
    folder = tmp_path / "data" / "places" / "original" / "domain_a" / "train"
    shutil.copy(folder / "place003.png", folder / "zebra.png")
    with pytest.raises(DacoError, match="the training photographs of places have changed"):
        train(run.but(iters=2), resume=True, accelerator="cpu")


def test_a_run_that_another_process_trains_is_left_alone(places: Path, tmp_path: Path) -> None:
    run = settings(places, tmp_path)
    train(run.but(iters=3), accelerator="cpu")
    before = run.checkpoint_file.read_bytes()
    with held_by_one_process(run.lock_file), pytest.raises(UsageError, match=r"places_daco .*another process"):
        train(run, resume=True, accelerator="cpu")
    assert run.checkpoint_file.read_bytes() == before
    assert train(run, resume=True, accelerator="cpu").finished


def test_fewer_images_than_a_batch_are_rejected(places: Path, tmp_path: Path) -> None:
    with pytest.raises(DacoError, match="24 training images are fewer than one batch"):
        train(settings(places, tmp_path, batch_size=32), accelerator="cpu")


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_photograph_stops_the_run_with_its_name(places: Path, tmp_path: Path, workers: int) -> None:
    shutil.copytree(places, tmp_path / "data")
    broken = tmp_path / "data" / "places" / "original" / "domain_a" / "train" / "place003.png"
    broken.write_bytes(broken.read_bytes()[:60])
    run = settings(tmp_path / "data", tmp_path, workers=workers)
    with pytest.raises(DacoError, match=r"place003\.png cannot be read as an image") as caught:
        train(run, accelerator="cpu")
    assert "\n" not in str(caught.value)


def test_two_processes_train_together(places: Path, tmp_path: Path) -> None:
    script = tmp_path / "two.py"
    script.write_text(
        "from pathlib import Path\n"
        "from daco_training.loop.settings import TrainOptions\n"
        "from daco_training.loop.trainer import train\n"
        "if __name__ == '__main__':\n"
        f"    run = TrainOptions(data_root=Path({str(places)!r}), data_name='places', backbone='test_resnet',\n"
        f"        image_size=32, iters=3, batch_size=8, save_root=Path({str(tmp_path)!r}), workers=0)\n"
        "    train(run, accelerator='cpu', processes=2)\n"
    )
    subprocess.run([sys.executable, script], check=True, timeout=240, capture_output=True)
    run = settings(places, tmp_path)
    assert len(rows(run)) == 1
    Encoder.load(run.encoder_folder)


@pytest.fixture(scope="module")
def never_stopped(places: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    """A run of eight epochs."""
    whole = settings(places, tmp_path_factory.mktemp("whole"), iters=24)
    train(whole, accelerator="cpu")
    return whole


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)])
def test_a_stopped_command_resumes_to_the_same_result(
    places: Path,
    never_stopped: TrainSettings,
    tmp_path: Path,
    commands: Path,
    forked: Path,
    number: signal.Signals,
    code: int,
) -> None:
    run = settings(places, tmp_path / "stopped", iters=24)
    options = ["--data_root", places, "--data_name", "places", "--backbone", "test_resnet", "--image_size", "32"]
    options += ["--iters", "24", "--batch_size", "8", "--negs", "16", "--proj_dim", "16", "--workers", "0"]
    options += ["--save_root", tmp_path / "stopped"]
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    folder = commands if number == signal.SIGKILL else forked  # which passes on every signal but this
    process = subprocess.Popen([folder / "daco-train", *options], env=environment, stderr=subprocess.PIPE, text=True)
    wait_for(run.checkpoint_file)  # the first epoch is over
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    if process.returncode == 0:
        pytest.skip("the machine finished the run before it could be stopped")
    assert process.returncode == code
    assert "Traceback" not in errors
    command = [forked / "daco-train", *options, "--resume"]
    subprocess.run(command, env=environment, check=True, timeout=240, capture_output=True)
    assert rows(run) == rows(never_stopped)
    torch.testing.assert_close(weights(run), weights(never_stopped), rtol=0, atol=0)


def wait_for(file: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < end, f"{file} did not appear"
        time.sleep(0.02)
