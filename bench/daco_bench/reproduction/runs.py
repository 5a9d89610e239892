"""Trains the contenders in separate runs, and stores what the report needs."""

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping, Sequence
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
from daco_core.photographs.pairing import pair_by_name
from daco_training.encoder.encoder import Encoder
from daco_training.evaluation.descriptors import embed_files
from daco_training.evaluation.recall import aligned, domain_recalls
from daco_training.evaluation.validation import Validation, find_validation
from daco_training.loop.checkpoint import stored_settings
from daco_training.loop.process_state import process_state_restored
from daco_training.loop.settings import LOCAL, TrainOptions, TrainSettings
from daco_training.loop.trainer import Trainer

TrainingData = tuple[str | None, bool]
"""The kind of twins, and whether the training data have more streets."""

DataFolder = tuple[Path, str]
"""Data root and name of a data set, which may not exist yet."""


@dataclass(frozen=True)
class Scale:
    """The differences from the published comparison, the same for all contenders.

    Args:
        backbone: published: resnet50. The modern recipe has its own.
        image_size: pixels of a view; published: 256.
        iters: published: 40,000.
        val_every: iterations between the points of the curves.
        precision: number format; published: fp32.
        modern_iters: iterations with the modern recipe, which needs few.
        longer_iters: iterations of the contenders with more iterations.
    """

    backbone: str = "resnet18"
    image_size: int = 96
    iters: int = 10_000
    val_every: int = 500
    precision: str = "fp32"
    modern_iters: int = 200
    longer_iters: int = 10_000


@dataclass(frozen=True)
class Run:
    """One contender with one seed."""

    contender: Contender
    settings: TrainSettings
    file: Path  # of its outcome
    accelerator: str = "auto"


def plan_runs(
    contenders: Sequence[Contender],
    seeds: Sequence[int],
    scale: Scale,
    data: Mapping[TrainingData, DataFolder],
    out: Path,
    accelerator: str = "auto",
    workers: int = 2,
) -> list[Run]:
    """All runs, seed by seed, so that the first seed of all contenders is finished early.

    Args:
        data: for each kind of twins (None: without), and with more streets or not, the data set to train on.
        out: receives `runs/` and `outcomes/`.
    """
    runs = []
    for seed in seeds:
        for one in contenders:
            data_root, data_name = data[one.twins, one.more_streets]
            modern = one.recipe == "modern"
            name = _stored_name(out, f"{one.slug}_seed{seed}", f"{one.former_slug}_seed{seed}")
            iters = scale.longer_iters if one.longer else scale.iters
            settings = TrainOptions(
                recipe=one.recipe,
                data_root=data_root,
                data_name=data_name,
                method_name=one.method,
                iters=scale.modern_iters if modern else iters,
                backbone=None if modern else scale.backbone,
                image_size=scale.image_size,
                precision=scale.precision,
                mask_copies=one.mask_copies,
                save_root=out / "runs" / name,
                val_every=max(scale.modern_iters // 10, 1) if modern else scale.val_every,
                workers=workers,
                seed=seed,
            ).resolve()
            runs.append(Run(one, settings, out / "outcomes" / f"{name}.json", accelerator))
    return runs


def _stored_name(out: Path, name: str, former: str) -> str:
    """The file name of a run: the former one if an earlier version stored its outcome or its checkpoint."""
    stored = (out / "outcomes" / f"{former}.json").exists() or (out / "runs" / former).exists()
    return former if stored else name


def missing_runs(runs: Sequence[Run]) -> list[Run]:
    """The runs without an outcome.

    Raises:
        DacoError: an outcome has other settings, including the iterations, or is damaged.
    """
    missing = []
    for run in runs:
        if run.file.exists():
            load_outcome(run.file).check_same(counting(run.settings), photographs_of(run.settings), run.file)
        else:
            missing.append(run)
    return missing


def counting(settings: TrainSettings) -> dict[str, Any]:
    """The settings that identify a run, as plain values, with the number of training photographs."""
    dataset = DataSet(settings.data_root, settings.data_name)
    trained_on = sum(len(dataset.images(domain, "train")) for domain in dataset.domains)
    chosen = {name: value for name, value in settings.recorded().items() if name not in LOCAL}
    return chosen | {"training_photographs": trained_on}


def train_runs(runs: Sequence[Run], jobs: int = 1, tell: Callable[[Run], None] = lambda run: None) -> None:
    """Trains what is missing, `jobs` runs side by side in processes of their own.

    Args:
        tell: called after each run that was finished.

    Raises:
        DacoError: a run fails or is stopped; finished ones are kept.
    """
    missing = missing_runs(runs)
    if jobs == 1 or len(missing) < 2:
        for run in missing:
            train_one(run)
            tell(run)
        return
    try:
        # a process for each run, so that its GPU memory is free for the next one
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(jobs, context, max_tasks_per_child=1) as pool:
            # no more than can run at once, because those waiting in the pool would run even after Ctrl-C or a failure
            waiting = iter(missing)
            running = {pool.submit(train_one, run): run for run in islice(waiting, jobs)}
            while running:
                done, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    future.result()
                    tell(running.pop(future))
                running |= {pool.submit(train_one, run): run for run in islice(waiting, len(done))}
    except BrokenProcessPool as error:
        raise DacoError("A run was killed, perhaps because memory was full: use fewer --jobs.") from error


def train_one(run: Run) -> None:
    """Trains one run to its end, resuming it if it was interrupted, and writes its outcome.

    Raises:
        DacoError: it fails, a run with other settings is stored in its place, or it was stopped.
    """
    settings, begun = run.settings, time.monotonic()
    stored = settings.checkpoint_file.exists()
    if stored:
        settings.check_same(stored_settings(settings.checkpoint_file), settings.checkpoint_file)
    with process_state_restored():
        trainer = Trainer(settings, run.accelerator, 1, resume=stored)
        trained = trainer.run()
        if not trained.finished:
            raise DacoError("Stopped: the same command resumes it.")
        validation = _validation(settings)
        vectors = embed_files(trainer.encoder.eval(), validation.images, run.contender.name)
        recalled = training_recalls(trainer.encoder, settings, validation.first)
    every, rows = settings.val_every, trainer.progress.rows
    curve = [{"iteration": min(every * n, settings.iters), **row} for n, row in enumerate(rows, start=1)]
    device = trainer.fabric.device
    named = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{os.cpu_count()} CPU cores"
    seconds = round(time.monotonic() - begun, 1)
    Outcome(
        contender=run.contender.name,
        settings=counting(settings),
        photographs=photographs_of(settings),
        device=named,
        seconds=seconds,
        curve=curve,
        descriptors=vectors.numpy(),
        training_recalls=recalled,
        seconds_per_iteration=seconds / max(settings.iters - trained.begun_after, 1),
    ).save(run.file)
    settings.checkpoint_file.unlink(missing_ok=True)  # the outcome is what is kept; a checkpoint is 130 MB


def training_recalls(encoder: Encoder, settings: TrainSettings, places: int) -> dict[str, dict[str, float]] | None:
    """Direction to R@k, in percent, of the first `places` training places, which shows how well they were memorised.

    None where the training photographs of the first two domains are not pairs with equal names.

    Raises:
        UnreadableImage: a training photograph is broken.
    """
    dataset = DataSet(settings.data_root, settings.data_name)
    a, b = (dataset.images(domain, "train") for domain in dataset.domains[:2])
    pairs = pair_by_name(a, b)
    if not pairs:
        return None
    chosen = pairs[:places]
    images = [one for one, _ in chosen] + [other for _, other in chosen]
    vectors = embed_files(encoder.eval(), images, "training photographs").numpy()
    recalls = domain_recalls(vectors, aligned(len(chosen)), len(chosen), settings.ranks)
    return {way: {f"R@{k}": round(100 * value, 2) for k, value in found.items()} for way, found in recalls.items()}


def _validation(settings: TrainSettings) -> Validation:
    dataset = DataSet(settings.data_root, settings.data_name)
    validation = find_validation(dataset)
    if validation is None:
        raise DacoError(f"{dataset.folder} has no validation photographs that are pairs or have positions.")
    return validation


def photographs_of(settings: TrainSettings) -> str:
    """A hash of the names of the photographs that a run is validated on."""
    return DataSet(settings.data_root, settings.data_name).fingerprint(_validation(settings).images)
