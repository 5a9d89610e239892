"""A run works in any thread, and restores the state of the process."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from daco_core.errors import UsageError
from daco_training.loop import memory
from daco_training.loop.process_state import process_state_restored
from daco_training.loop.settings import TrainOptions
from daco_training.loop.trainer import train


def options(places: Path, result: Path, iters: int = 2) -> TrainOptions:
    return TrainOptions(
        data_root=places,
        data_name="places",
        method_name="simclr",
        save_root=result,
        backbone="test_resnet",
        image_size=32,
        batch_size=8,
        proj_dim=8,
        iters=iters,
        workers=0,
    )


@pytest.fixture
def handlers() -> Iterator[dict[int, object]]:
    """Handlers of the caller's own, where a run would have put its own."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda *_: None) for number in numbers}
    yield {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        signal.signal(number, handler)


def losses(run: TrainOptions) -> str:
    return run.results_file.read_text()


def test_a_run_in_another_thread_equals_one_in_the_main_thread(
    places: Path, tmp_path: Path, handlers: dict[int, object]
) -> None:
    here, there = options(places, tmp_path / "here"), options(places, tmp_path / "there")
    assert train(here, accelerator="cpu").finished
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(train, there, accelerator="cpu").result().finished
    assert losses(there) == losses(here)
    assert {number: signal.getsignal(number) for number in handlers} == handlers


def test_a_run_restores_the_state_of_the_process(places: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    during = []
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    torch.manual_seed(1)
    numbers = torch.get_rng_state()

    def look() -> bool:
        during.append((torch.backends.cudnn.deterministic, memory._kept, torch.initial_seed() == 1))
        return False

    train(options(places, tmp_path), accelerator="cpu", stop=look)
    assert during == [(True, True, False)] * 2, "else this test tests nothing"
    assert (torch.backends.cudnn.deterministic, memory._kept) == (False, False)
    assert torch.equal(torch.get_rng_state(), numbers)


def test_a_failed_run_restores_the_state_of_the_process(places: Path, tmp_path: Path) -> None:
    numbers = torch.get_rng_state()

    def fail() -> bool:
        raise RuntimeError("of the caller")

    with pytest.raises(RuntimeError, match="of the caller"):
        train(options(places, tmp_path), accelerator="cpu", stop=fail)
    assert torch.equal(torch.get_rng_state(), numbers) and not memory._kept
    with process_state_restored():
        pass  # another run may begin


def test_a_caller_can_stop_a_run_in_a_thread_and_resume_it(places: Path, tmp_path: Path) -> None:
    whole, parts = options(places, tmp_path / "whole", 4), options(places, tmp_path / "parts", 4)
    train(whole, accelerator="cpu")
    stop = threading.Event()

    def first_only() -> bool:
        return stop.is_set() or stop.set() is not None

    with ThreadPoolExecutor(1) as pool:
        report = pool.submit(train, parts, accelerator="cpu", stop=first_only).result()
    assert (report.iterations, report.finished) == (2, False)
    assert train(parts, resume=True, accelerator="cpu").finished
    assert losses(parts) == losses(whole)


def test_one_process_has_one_run_at_a_time(places: Path, tmp_path: Path) -> None:
    with process_state_restored(), pytest.raises(UsageError, match="Another training is in progress in this process"):
        train(options(places, tmp_path), accelerator="cpu")
