"""Several processes compute the same training as one process on the same batches."""

import csv
import os
import socket
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from daco_training.loop.precision import PRECISIONS
from daco_training.loop.settings import TrainOptions
from daco_training.loop.trainer import train

METHODS = ("daco", "simclr", "simsiam", "moco", "npid")
ITERS = 4
# all of the data in one batch, so that a row of the results is an iteration
SMALL = {
    "data_name": "places", "backbone": "test_resnet", "image_size": 32, "batch_size": 24, "negs": 48, "proj_dim": 16,
    "iters": ITERS, "lr": 1e-4, "workers": 0,
}  # fmt: skip

# in 32 bits rounding grows with every step, as Adam's follow the sign of a gradient, until only luck could tell a wrong
# gradient from a rounded one
DOUBLE = "64-true"


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def run_together(commands: list[list[object]], environments: list[dict[str, str]]) -> None:
    shared = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [
        subprocess.Popen(
            [str(word) for word in command], env=shared | environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for command, environment in zip(commands, environments, strict=True)
    ]
    try:
        outcomes = [process.communicate(timeout=400) for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, (_, errors) in zip(processes, outcomes, strict=True):
        assert process.returncode == 0, errors.decode()


def losses(file: Path) -> list[float]:
    with file.open() as stream:
        return [float(row["train_loss"]) for row in csv.DictReader(stream)]


def mean_gradients(adam: dict[str, Any]) -> torch.Tensor:
    """Adam's running mean of all gradients, in one row."""
    return torch.cat([state["exp_avg"].flatten() for state in adam["state"].values()])


@pytest.fixture(scope="module")
def training_only(places: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small data set without its validation photographs, which are read in 32 bits."""
    root = tmp_path_factory.mktemp("training-only")
    for kind in ("original", "generated"):
        for domain in ("domain_a", "domain_b"):
            folder = root / "places" / kind / domain
            folder.mkdir(parents=True)
            (folder / "train").symlink_to(places / "places" / kind / domain / "train")
    return root


def train_together(python: Path, script: Path, data_root: Path, folder: Path, device: str) -> None:
    """Trains every method with two processes as torchrun starts them, below a folder.

    One GPU does for both: each is a machine of its own then, and they meet through gloo, as NCCL wants a GPU for each.
    """
    on_gpu = device == "cuda"
    machines = 2 if on_gpu else 1
    script.write_text(
        "from pathlib import Path\n"
        "import torch\n"
        "from lightning_fabric.strategies import ddp\n"
        "from daco_training.loop.precision import PRECISIONS\n"
        "from daco_training.loop.settings import TrainOptions\n"
        "from daco_training.loop.trainer import train\n"
        "ddp._get_default_process_group_backend_for_device = lambda device: 'gloo'\n"
        f"PRECISIONS['fp32'] = {DOUBLE!r}\n"
        "torch.set_default_dtype(torch.float64)\n"
        f"for method in {METHODS!r}:\n"
        f"    run = TrainOptions(data_root=Path({str(data_root)!r}), save_root=Path({str(folder)!r}),\n"
        f"        method_name=method, nodes={machines}, **{SMALL!r})\n"
        f"    train(run, accelerator={device!r}, processes={2 // machines})\n"
    )
    torchrun = {"TORCHELASTIC_RUN_ID": "test", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": str(2 // machines)}
    ranks = [
        torchrun
        | {"RANK": rank, "GROUP_RANK": rank if on_gpu else "0", "LOCAL_RANK": "0" if on_gpu else rank}
        | {"CUDA_VISIBLE_DEVICES": "0" if on_gpu else ""}
        for rank in ("0", "1")
    ]
    run_together([[python, script]] * 2, ranks)


@pytest.fixture(
    scope="module",
    params=[
        "cpu",
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU"),
            ],
        ),
    ],
)
def together(
    request: pytest.FixtureRequest, training_only: Path, forked: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """A device, and the results of every method, trained on it by two processes."""
    folder = tmp_path_factory.mktemp("together")
    python = forked / "forked-python" if request.param == "cpu" else Path(sys.executable)
    train_together(python, folder / "train_all.py", training_only, folder, request.param)
    return request.param, folder


@pytest.mark.parametrize("method", METHODS)
def test_two_processes_have_the_same_losses_as_one(
    training_only: Path,
    tmp_path: Path,
    together: tuple[str, Path],
    method: str,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    device, folder = together
    monkeypatch.setitem(PRECISIONS, "fp32", DOUBLE)
    request.addfinalizer(partial(torch.set_default_dtype, torch.get_default_dtype()))
    torch.set_default_dtype(torch.float64)
    alone = TrainOptions(data_root=training_only, save_root=tmp_path, method_name=method, **SMALL).resolve()  # type: ignore[arg-type]
    train(alone, accelerator=device)
    shared = alone.but(save_root=folder)
    expected = losses(alone.results_file)
    assert len(expected) == ITERS
    assert len(set(expected)) == ITERS, "the loss must move, or nothing is compared"
    assert losses(shared.results_file) == pytest.approx(expected, abs=1e-4)
    ours, theirs = (torch.load(run.checkpoint_file, map_location="cpu", weights_only=True) for run in (alone, shared))
    assert ours["network"].keys() == theirs["network"].keys()
    assert ours["method"].keys() == theirs["method"].keys()
    for name in ("queue", "bank", "normaliser"):
        if name in ours["method"]:
            torch.testing.assert_close(theirs["method"][name], ours["method"][name], atol=1e-3, rtol=1e-3)
    gradients, shared_gradients = (mean_gradients(state["optimizer"]) for state in (ours, theirs))
    assert (shared_gradients - gradients).norm() < 1e-3 * gradients.norm()


def test_two_machines_train_together_by_the_same_command(places: Path, tmp_path: Path, forked: Path) -> None:
    options = ["--data_root", places, "--save_root", tmp_path, "--nodes", 2]
    for name, value in (SMALL | {"iters": 1}).items():
        options += [f"--{name}", value]
    run_together([[forked / "daco-train", *options]] * 2, [{"NODE_RANK": rank} for rank in ("0", "1")])
    alone = TrainOptions(data_root=places, save_root=tmp_path / "alone", **(SMALL | {"iters": 1})).resolve()  # type: ignore[arg-type]
    train(alone, accelerator="cpu")
    assert losses(tmp_path / "places_daco_results.csv") == pytest.approx(losses(alone.results_file), abs=1e-4)
