"""Trains the contenders, each run by itself, and keeps what the report needs of it."""

import multiprocessing
import os
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from daco_bench.reproduction.contenders import Contender
from daco_bench.reproduction.outcome import Outcome, load_outcome
from daco_core.errors import DacoError
from daco_core.photographs.layout import DataSet
from daco_training.evaluation.descriptors import describe_files
from daco_training.evaluation.validation import Validation, find_validation
from daco_training.loop.checkpoint import stored_settings
from daco_training.loop.process_state import process_state_restored
from daco_training.loop.settings import LOCAL, TrainOptions, TrainSettings
from daco_training.loop.trainer import Trainer


@dataclass(frozen=True)
class Scale:
    """What differs from the published comparison, alike for all contenders.

    Args:
        backbone: published: resnet50. Our recipe has its own.
        image_size: pixels of a view; published: 256.
        iters: published: 40,000.
        val_every: iterations between the points of the curves.
        precision: number format; published: fp32.
        our_iters: of our recipe, which needs few.
    """

    backbone: str = "resnet18"
    image_size: int = 96
    iters: int = 10_000
    val_every: int = 500
    precision: str = "fp32"
    our_iters: int = 200


@dataclass(frozen=True)
class Run:
    """One contender with one seed."""

    contender: Contender
    settings: TrainSettings
    file: Path  # where its outcome goes
    accelerator: str = "auto"


def plan_runs(
    contenders: Sequence[Contender],
    seeds: Sequence[int],
    scale: Scale,
    data: dict[str | None, DataSet],
    out: Path,
    accelerator: str = "auto",
    workers: int = 2,
) -> list[Run]:
    """All runs, seed after seed, so that the first seed of all is there early.

    Args:
        data: for each kind of twins, and for None, the data set to train on.
        out: receives `runs/` and `outcomes/`.
    """
    runs = []
    for seed in seeds:
        for one in contenders:
            dataset = data[one.twins]
            ours = one.recipe == "modern"
            settings = TrainOptions(
                recipe=one.recipe,
                data_root=dataset.data_root,
                data_name=dataset.name,
                method_name=one.method,
                iters=scale.our_iters if ours else scale.iters,
                backbone=None if ours else scale.backbone,
                image_size=scale.image_size,
                precision=scale.precision,
                mask_copies=one.mask_copies,
                save_root=out / "runs" / f"{one.slug}_seed{seed}",
                val_every=max(scale.our_iters // 10, 1) if ours else scale.val_every,
                workers=workers,
                seed=seed,
            ).resolve()
            runs.append(Run(one, settings, out / "outcomes" / f"{one.slug}_seed{seed}.json", accelerator))
    return runs


def missing_runs(runs: Sequence[Run]) -> list[Run]:
    """The runs whose outcome is not there yet.

    Raises:
        DacoError: an outcome is of other settings, iterations included, or damaged.
    """
    missing = []
    for run in runs:
        if run.file.exists():
            load_outcome(run.file).check_same(counting(run.settings), _hash(run.settings), run.file)
        else:
            missing.append(run)
    return missing


def counting(settings: TrainSettings) -> dict[str, Any]:
    """The settings that make a run what it is, as plain values."""
    return {name: value for name, value in settings.recorded().items() if name not in LOCAL}


def train_runs(runs: Sequence[Run], jobs: int = 1) -> None:
    """Trains what is missing, `jobs` runs side by side in processes of their own.

    Raises:
        DacoError: a run cannot be made or was stopped; those that were finished are kept.
    """
    missing = missing_runs(runs)
    if jobs == 1 or len(missing) < 2:
        for run in missing:
            train_one(run)
        return
    try:
        # a process for each run: what one takes of a GPU's memory is free again for the next
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, max_tasks_per_child=1) as pool:
            # no more than can run at once: what waits in the pool would be trained even after Ctrl-C or a failure
            waiting = iter(missing)
            running = {pool.submit(train_one, run) for run in islice(waiting, jobs)}
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                running |= {pool.submit(train_one, run) for run in islice(waiting, len(done))}
    except BrokenProcessPool as error:
        raise DacoError("A run was killed, perhaps for want of memory: take fewer --jobs.") from error


def train_one(run: Run) -> None:
    """Trains one run to its end, resuming it if it was stopped, and writes its outcome.

    Raises:
        DacoError: it cannot be made, a run with other settings is stored in its place, or it was stopped.
    """
    settings, begun = run.settings, time.monotonic()
    stored = settings.checkpoint_file.exists()
    if stored:
        settings.check_same(stored_settings(settings.checkpoint_file), settings.checkpoint_file)
    with process_state_restored():
        trainer = Trainer(settings, run.accelerator, 1, resume=stored)
        if not trainer.run().finished:
            raise DacoError("Stopped: the same command resumes it.")
        validation = _validation(settings)
        vectors = describe_files(trainer.encoder.eval(), validation.images, run.contender.name)
    every, rows = settings.val_every, trainer.progress.rows
    curve = [{"iteration": min(every * n, settings.iters), **row} for n, row in enumerate(rows, start=1)]
    device = trainer.fabric.device
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    seconds = round(time.monotonic() - begun, 1)
    Outcome(run.contender.name, counting(settings), _hash(settings), named, seconds, curve, vectors.numpy()).save(
        run.file
    )
    settings.checkpoint_file.unlink(missing_ok=True)  # the outcome is what is kept; a checkpoint is 130 MB


def _validation(settings: TrainSettings) -> Validation:
    dataset = DataSet(settings.data_root, settings.data_name)
    validation = find_validation(dataset)
    if validation is None:
        raise DacoError(f"{dataset.folder} has no validation photographs that are pairs or have positions.")
    return validation


def _hash(settings: TrainSettings) -> str:
    return DataSet(settings.data_root, settings.data_name).fingerprint(_validation(settings).images)
