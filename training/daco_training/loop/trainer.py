"""The training loop, on Lightning Fabric."""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
import torch._inductor
from lightning_fabric import Fabric
from lightning_fabric.loggers import TensorBoardLogger
from torch import Tensor
from torch.optim import Adam
from tqdm import tqdm

from daco_core.encoder.config import EncoderConfig
from daco_core.encoder.stored import open_encoder
from daco_core.errors import DacoError, UsageError, reason_of
from daco_core.files import held_by_one_process
from daco_core.photographs.layout import DataSet
from daco_training.datasets.statistics import normaliser
from daco_training.devices import check_gpus
from daco_training.encoder.backbones import load_pretrained
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.pooling import GridPooling
from daco_training.encoder.sources import imagenet_normaliser
from daco_training.encoder.whitening import whiten
from daco_training.evaluation.recall import Recalls, mean_first
from daco_training.evaluation.validation import find_validation
from daco_training.loop.batch_norm import synchronise
from daco_training.loop.checkpoint import load_checkpoint, save_checkpoint
from daco_training.loop.cuda_graphs import RecordedNetwork
from daco_training.loop.interrupt import StopSignal
from daco_training.loop.memory import keep_freed
from daco_training.loop.network import ContrastiveNetwork, FabricProjector
from daco_training.loop.precision import PRECISIONS, choose_precision
from daco_training.loop.process_state import process_state_restored
from daco_training.loop.results import Row, result_row, write_results
from daco_training.loop.settings import TrainOptions, TrainSettings
from daco_training.methods import METHODS, projection_length
from daco_training.randomness import derive_seed
from daco_training.views.augmentation import DrawView, draw_place_view, draw_view, render, sometimes_moved
from daco_training.views.compiled import render_together
from daco_training.views.dataset import Batch, Batches, TrainingViews
from daco_training.views.image_store import ImageStore
from daco_training.views.prefetch import Ahead

STRIDE = 16  # of the map from which local descriptors are computed
JUST_SAVED = 30.0  # seconds; prevents a checkpoint after every short epoch


@dataclass
class Progress:
    """The progress of a run: the contents of a checkpoint besides the tensors."""

    iteration: int = 0
    epoch_loss: float = 0.0  # sum over the iterations of the current epoch
    best: float = -1.0  # mean R@1 of the encoder on disk
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True)
class TrainReport:
    """The result of a run.

    Args:
        iterations: total number completed.
        finished: whether the run is complete.
        speaks: whether this process reports to the user; of several processes only one does.
        begun_after: the iterations that a run which was resumed had before.
    """

    iterations: int
    finished: bool
    speaks: bool = True
    begun_after: int = 0


def train(
    options: TrainOptions,
    resume: bool = False,
    accelerator: str = "auto",
    processes: int = 1,
    stop: Callable[[], bool] = bool,
) -> TrainReport:
    """Trains an encoder, and writes results, logs, checkpoint and encoder below `save_root`.

    The checkpoint is written every `options.checkpoint_minutes`, at the end of an epoch unless one was just written,
    and at the end of the run.

    The order of samples, their views and all random draws of a method are functions of (seed, iteration): a run that
    was interrupted and resumed gives the same result as one that was not. Ctrl-C stops after the current iteration,
    whose state is saved.

    It may be called in any thread; in other threads than the main one, the caller handles Ctrl-C and may use `stop`.
    What it changes in the process (signal handlers, random numbers, cuDNN's flag, the allocator) is restored, and only
    one run at a time is possible. With several processes, PyTorch's process group is not removed.

    Args:
        resume: continue from the last checkpoint.
        accelerator, processes: Fabric's arguments, used if `options.gpu_ids` is None.
        stop: called after each iteration; if it returns True, the run stops as after Ctrl-C.

    Raises:
        DacoError: settings, data or disk are unsuitable.
    """
    settings = options.resolve()
    with process_state_restored():
        return Trainer(settings, accelerator, processes, resume).run(stop)


class Trainer:
    """A run: its network, method, data and progress."""

    def __init__(self, settings: TrainSettings, accelerator: str, processes: int, resume: bool = False) -> None:
        self.resume = resume
        self.settings = settings
        self.dataset = DataSet(settings.data_root, settings.data_name)
        self.fabric = _make_fabric(settings, accelerator, processes)
        self.fabric.launch()
        if self.fabric.device.type == "cpu":
            keep_freed()
        photographs = self.dataset.training_images()
        self.photographs = self.dataset.fingerprint(photographs)
        images = len(photographs)
        if images < settings.batch_size:
            raise UsageError(f"{images} training images are fewer than one batch: --batch_size {settings.batch_size}.")
        torch.manual_seed(derive_seed(settings.seed))
        torch.backends.cudnn.deterministic = True  # a seed gives the same losses, at the same speed (measured)
        self.encoder = _make_encoder(settings, self.dataset)
        if settings.parts.whitening and isinstance(self.encoder.pooling, GridPooling) and not resume:
            whiten(self.encoder.to(self.fabric.device), photographs)
        settings = settings.but(proj_dim=projection_length(settings, self.encoder.dimension))
        tail = settings.tail_stages if settings.tail_lr > 0 else 0
        network = ContrastiveNetwork(self.encoder, settings.proj_dim, settings.direct, settings.frozen, tail)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.fabric.world_size > 1:
            synchronise(network, self.fabric.device)
        self.method = METHODS[settings.method_name](settings, network, images).to(self.fabric.device)
        optimizer = _make_optimizer(network, settings)
        if settings.compile:
            if self.fabric.world_size == 1:
                network.pass_together(settings.batch_size)
            _compile(network)
        self.network, self.optimizer = self.fabric.setup(network, optimizer)
        record = self.fabric.device.type == "cuda" and self.fabric.world_size == 1
        self.project = FabricProjector(
            self.fabric, RecordedNetwork(network, self.network, self.fabric.autocast) if record else self.network
        )
        store = ImageStore(
            settings.image_size,
            self.fabric.device,
            settings.memory_share,
            settings.workers,
            processes=self.fabric.world_size // settings.nodes,
        )
        draw: DrawView = draw_place_view if settings.parts.views else draw_view
        if settings.move:
            draw = sometimes_moved(settings.move)
        self.views = TrainingViews(
            self.dataset,
            self.method.sources,
            self.encoder.config,
            settings.seed,
            store,
            draw,
            render_together if settings.compile else render,
            settings.image_size // STRIDE if settings.dense else 0,
        )
        self.validation = find_validation(self.dataset)
        self.progress = Progress()
        self.ahead = Ahead(self.fabric.device)
        self._saved_at: float | None = None

    def run(self, stop: Callable[[], bool] = bool) -> TrainReport:
        """Trains until the run is complete or stopped.

        Raises:
            UsageError: another process is training the run of this name in this folder.
        """
        self._make_folders()
        with self._only_trainer():
            return self._run(stop)

    def _run(self, stop: Callable[[], bool]) -> TrainReport:
        if self.resume:
            self._restore()
        begun_after = self.progress.iteration
        if self.validation is None:
            self._say(
                "Recall cannot be measured, so the encoder of the last epoch is kept: no validation photographs are"
                " pairs or lie within 25 m of each other (daco-data check says which have positions)."
            )
        else:
            self._say(f"Validation on {len(self.validation.images)} photographs; matches are {self.validation.rule}.")
        self.network.train()
        batches = self.batches()
        self._begun_at = time.monotonic()
        with StopSignal() as signalled, self._bar(batches) as bar:
            for loss in self.steps(batches):
                self.progress.iteration += 1
                self.progress.epoch_loss += loss
                self.fabric.log("loss", loss, self.progress.iteration)
                bar.set_postfix_str(f"loss {loss:.4f}", refresh=False)
                bar.update()
                every = self.settings.val_every or batches.per_epoch
                if self.progress.iteration % every == 0 or self.progress.iteration == self.settings.iters:
                    self._end_epoch(every)
                stopping, due = self._any_process(
                    signalled.requested or stop(), self._save_due(60 * self.settings.checkpoint_minutes)
                )
                if stopping or due:
                    self._save()
                if stopping:
                    break
        finished = self.progress.iteration >= self.settings.iters
        if finished and self.fabric.is_global_zero:
            self._complete_encoder()
        return TrainReport(self.progress.iteration, finished, self.fabric.is_global_zero, begun_after)

    def steps(self, batches: Batches) -> Iterator[float]:
        """Performs a training step for each batch and yields its loss."""
        with closing(self.views.stream(batches)) as stream:
            batch = self.ahead.next(stream)
            while batch is not None:
                loss = self._step(batch)
                batch = self.ahead.next(stream)  # a GPU has only just begun the step
                yield self._finite(loss.item())

    def _step(self, batch: Batch) -> Tensor:
        # every random draw of the method depends on the iteration, and is the same in all processes
        torch.manual_seed(derive_seed(self.settings.seed, self.progress.iteration, 1))
        loss = self.method.loss(self.project, *batch)
        self.optimizer.zero_grad()
        self.fabric.backward(loss)
        self.optimizer.step()
        self.method.after_step()
        return loss.detach()

    def _any_process(self, *conditions: bool) -> list[bool]:
        """For each condition, whether it holds in any process."""
        if self.fabric.world_size == 1:
            return list(conditions)
        met = torch.tensor([float(condition) for condition in conditions], device=self.fabric.device)
        return [bool(condition) for condition in self.fabric.all_reduce(met, reduce_op="max")]

    def _save_due(self, seconds: float) -> bool:
        """Whether the last checkpoint of this run is older than this."""
        since = self._begun_at if self._saved_at is None else self._saved_at
        return time.monotonic() - since >= seconds

    def _finite(self, loss: float) -> float:
        if not math.isfinite(loss):
            iteration = self.progress.iteration + 1
            raise DacoError(f"The loss became {loss} in iteration {iteration}: lower --lr, or use --precision fp32.")
        return loss

    def _end_epoch(self, per_epoch: int) -> None:
        progress, settings = self.progress, self.settings
        epoch = math.ceil(progress.iteration / per_epoch)
        train_loss = progress.epoch_loss / (progress.iteration - (epoch - 1) * per_epoch)
        if progress.iteration % per_epoch == 0:  # otherwise the last epoch is incomplete, and a longer run continues it
            progress.epoch_loss = 0.0
        recalls: dict[str, Recalls] = {}
        precise = None
        if self.fabric.is_global_zero and self.validation:
            recalls = self.validation.recalls(self.encoder, settings.ranks)
            precise = mean_first(recalls, settings.ranks)
            self.network.train()
        progress.rows[epoch - 1 :] = [result_row(train_loss, recalls, precise)]
        if self.fabric.is_global_zero:
            self.fabric.log_dict(progress.rows[-1], progress.iteration)
            write_results(settings.results_file, progress.rows, settings.ranks, settings.val_every, progress.iteration)
            if precise is None or precise > progress.best:
                progress.best = -1.0 if precise is None else precise
                self._save_encoder(recalls)
        named = f"iteration {progress.iteration}" if settings.val_every else f"epoch {epoch}"
        self._say(_result_line(named, train_loss, recalls, settings.ranks))
        last = progress.iteration >= settings.iters
        (due,) = self._any_process(last or self._saved_at is None or self._save_due(JUST_SAVED))
        if due:
            self._save()

    def _save_encoder(self, recalls: dict[str, Recalls]) -> None:
        self.encoder.config = replace(
            self.encoder.config,
            training={**self.settings.description(), "iteration": self.progress.iteration},
            recall={direction: {str(k): value for k, value in values.items()} for direction, values in recalls.items()},
        )
        self.encoder.save(self.settings.encoder_folder, network=False)

    def _complete_encoder(self) -> None:
        """Adds `model.onnx` to the best encoder at the end, because it takes seconds."""
        folder = self.settings.encoder_folder
        if open_encoder(folder).network is None:
            Encoder.load(folder).save(folder)

    def _save(self) -> None:
        state = {
            "network": self.network.state_dict(),
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.fabric.strategy.precision.state_dict(),
            "settings": self.settings.recorded(),
            "photographs": self.photographs,
            "progress": asdict(self.progress),
        }
        save_checkpoint(self.fabric, self.settings.checkpoint_file, state)
        self._saved_at = time.monotonic()

    def _restore(self) -> None:
        state = load_checkpoint(self.fabric, self.settings.checkpoint_file)
        self.settings.check_continues(state["settings"])
        if state.get("photographs", self.photographs) != self.photographs:  # older checkpoints have none
            raise UsageError(
                f"--resume needs the same data, but the training photographs of {self.dataset.name} have changed since"
                " the run was started."
            )
        self.network.load_state_dict(state["network"])
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state.get("scaler", {}))
        self.progress = Progress(**state["progress"])
        self._say(f"Resumed after iteration {self.progress.iteration} of {self.settings.iters}.")

    def batches(self) -> Batches:
        """The remaining batches of the run: this process's share of each."""
        return Batches(
            images=len(self.views),
            batch_size=self.settings.batch_size,
            seed=self.settings.seed,
            start=self.progress.iteration,
            stop=max(self.settings.iters, self.progress.iteration),
            rank=self.fabric.global_rank,
            processes=self.fabric.world_size,
        )

    def _bar(self, batches: Batches) -> "tqdm[Any]":
        return tqdm(
            total=self.settings.iters,
            initial=batches.start,
            desc=self.settings.run_name,
            unit="it",
            disable=not self.fabric.is_global_zero,
        )

    def _make_folders(self) -> None:
        try:
            self.settings.save_root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DacoError(f"--save_root {self.settings.save_root} cannot be created: {reason_of(error)}.") from error

    @contextmanager
    def _only_trainer(self) -> Iterator[None]:
        """Keeps other processes from training the same run, whose files would mix."""
        settings = self.settings
        with ExitStack() as stack:
            if self.fabric.is_global_zero:
                try:
                    stack.enter_context(held_by_one_process(settings.lock_file))
                except BlockingIOError as error:
                    raise UsageError(
                        f"{settings.run_name} in {settings.save_root} is being trained by another process: wait until"
                        " it has finished, or name another folder with --save_root."
                    ) from error
                except OSError as error:
                    raise DacoError(f"{settings.lock_file} cannot be written: {reason_of(error)}.") from error
            yield

    def _say(self, sentence: str) -> None:
        if self.fabric.is_global_zero:
            tqdm.write(sentence, file=sys.stderr)


def _make_fabric(settings: TrainSettings, accelerator: str, processes: int) -> Fabric:
    devices: list[int] | int = processes
    if settings.gpu_ids is not None:
        check_gpus(settings.gpu_ids)
        accelerator, devices = "cuda", list(settings.gpu_ids)
    count = (devices if isinstance(devices, int) else len(devices)) * settings.nodes
    if settings.batch_size % count:
        raise UsageError(f"--batch_size {settings.batch_size} is not divisible by {count} processes.")
    device = "cuda" if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available() else "cpu"
    precision = choose_precision(settings.precision, settings.backbone, device, settings.frozen)
    return Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=settings.nodes,
        strategy="ddp" if count > 1 else "auto",
        precision=PRECISIONS[precision],  # type: ignore[arg-type]
        loggers=TensorBoardLogger(settings.save_root / "logs", name=settings.run_name),
    )


def _make_encoder(settings: TrainSettings, dataset: DataSet) -> Encoder:
    mean, std = imagenet_normaliser(settings.backbone) if settings.weights else normaliser(dataset)
    encoder = Encoder(
        EncoderConfig(settings.backbone, settings.pooling, settings.image_size, settings.resize, mean, std)
    )
    if settings.weights:
        load_pretrained(encoder.backbone, settings.backbone, settings.weights)
    if settings.parts.rows and isinstance(encoder.pooling, GridPooling):
        encoder.pooling.favour_the_middle()
    return encoder


# For an expression with more operands than this, Inductor writes an intermediate result in 32 bits and reads it again.
# The gradient of a batch norm after a residual has ten operands: if they are fused, a step of ResNet-50 in bf16 moves a
# tenth less memory.
FUSED = {"realize_acc_reads_threshold": 16}


def _compile(network: ContrastiveNetwork) -> None:
    known = set(torch._inductor.list_options())
    network.compile(options={name: value for name, value in FUSED.items() if name in known})


def _make_optimizer(network: ContrastiveNetwork, settings: TrainSettings) -> Adam:
    tail = set(network.tail)
    rest = [parameter for parameter in network.parameters() if parameter.requires_grad and parameter not in tail]
    groups: list[dict[str, Any]] = [{"params": rest}] if rest else []
    if network.tail:  # pretrained: no weight decay, which would pull the weights away from their initial values
        groups.append({"params": network.tail, "lr": settings.tail_lr, "weight_decay": 0.0})
    if not groups:
        raise UsageError(
            f"Nothing is left to train: the backbone is frozen, and pooling {settings.pooling} has no weights. Use"
            " --pooling grid, or --without frozen or direct."
        )
    return Adam(groups, lr=settings.lr, weight_decay=settings.weight_decay, fused=True)


def _result_line(named: str, train_loss: float, recalls: dict[str, Recalls], ranks: Sequence[int]) -> str:
    first = min(ranks)
    shown = "".join(f"  {direction} R@{first} {100 * values[first]:.2f} %" for direction, values in recalls.items())
    return f"{named}: loss {train_loss:.4f}{shown}"
