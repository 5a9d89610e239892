"""Compares the training speed of `daco-train` with that of the published loop, in turns on the same data."""

import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import torch
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from daco_bench.report import text_table
from daco_core.errors import DacoError
from daco_core.photographs.layout import DataSet
from daco_training.loop.memory import give_back_freed
from daco_training.loop.precision import choose_precision
from daco_training.loop.settings import TrainSettings
from daco_training.views.data_wait import WaitingTime

PUBLISHED = "published loop"
FORMATS = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
HEADER = (
    "loop",
    "s/step",
    "images/s",
    "times as fast",
    "at most",
    "peak memory, GB",
    "waits for data, %",
)


@dataclass(frozen=True)
class Block:
    """Measurements of consecutive steps of one side.

    Args:
        seconds: of each step.
        waited: seconds in which the device waited for data.
        peak: peak memory of the process in bytes; on a GPU, that of PyTorch on the GPU.
        rate: the device's operations per second in this number format, measured with large matrix products.
        operations: multiplications and additions of a step, if they were counted (by the published loop).
    """

    seconds: list[float]
    waited: float
    peak: int
    rate: float
    operations: int


@dataclass(frozen=True)
class Side:
    """One of the compared loops: the published one, or that of daco-train in a number format."""

    name: str
    settings: TrainSettings
    loader_workers: int

    @property
    def published(self) -> bool:
        return self.name == PUBLISHED


@dataclass(frozen=True)
class SpeedRow:
    """The results of one side: medians over all its steps.

    Args:
        step_seconds: time of one step.
        images_per_second: originals per second; each gives all of the method's views.
        ratio: speed relative to the published loop.
        most: what `ratio` would be if the device computed the published loop's convolutions as fast as large matrix
            products in this number format, and nothing else took time.
        peak_memory: bytes, of the training process without its loaders; on a GPU, of the GPU.
        waiting: share of the time that the device waited for data.
    """

    name: str
    step_seconds: float
    images_per_second: float
    ratio: float
    most: float
    peak_memory: int
    waiting: float


def compare_speed(
    settings: TrainSettings, precisions: Sequence[str], steps: int, rounds: int, loader_workers: int, accelerator: str
) -> list[SpeedRow]:
    """Trains in turns with the published loop and with `daco-train`, each in its own process; nothing is saved.

    All processes except the current one are suspended, including their loaders. The first block of each side is not
    counted: it fills the loader's queues, and loads the photographs into memory like the first epoch of a run. The
    first step of each block, in which the process allocates its memory again, is not counted either.

    Args:
        precisions: the number formats to train in; the published loop uses fp32.
        steps: training steps in a block.
        rounds: number of counted blocks of each side.
        loader_workers: number of loader processes of the published loop.
        accelerator: `auto`, `cpu` or `cuda`.

    Raises:
        DacoError: a side cannot train.
    """
    DataSet(settings.data_root, settings.data_name).training_images()  # raises before a process is started
    with TemporaryDirectory() as scratch:
        base = settings.but(save_root=Path(scratch), iters=(rounds + 1) * (steps + 1) + 1)
        sides = [Side(PUBLISHED, base, loader_workers)]
        sides += [Side(f"daco-train, {name}", base.but(precision=name), loader_workers) for name in precisions]
        runners: list[Runner] = []
        blocks: dict[str, list[Block]] = {side.name: [] for side in sides}
        ending = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
        try:
            with tqdm(total=(rounds + 1) * len(sides), desc="train speed", unit="block") as bar:
                for side in reversed(sides):  # daco-train first, because it reports early what cannot be trained
                    runners.append(Runner(side, accelerator))
                    runners[-1].run(steps)
                    bar.update()
                for _ in range(rounds):
                    for runner in runners:
                        block = runner.run(steps)
                        blocks[runner.side.name].append(block)
                        bar.set_postfix_str(f"{runner.side.name}: {median(block.seconds):.3g} s/step", refresh=False)
                        bar.update()
        finally:
            for runner in runners:
                runner.end()
            signal.signal(signal.SIGTERM, ending)
    return _rows(blocks, settings.batch_size)


def _rows(blocks: dict[str, list[Block]], batch_size: int) -> list[SpeedRow]:
    seconds = {name: median(second for block in own for second in block.seconds) for name, own in blocks.items()}
    operations = max(block.operations for block in blocks[PUBLISHED])
    return [
        SpeedRow(
            name=name,
            step_seconds=seconds[name],
            images_per_second=batch_size / seconds[name],
            ratio=seconds[PUBLISHED] / seconds[name],
            most=seconds[PUBLISHED] * max(block.rate for block in own) / operations,
            peak_memory=max(block.peak for block in own),
            waiting=sum(block.waited for block in own) / sum(sum(block.seconds) for block in own),
        )
        for name, own in blocks.items()
    ]


class Runner:
    """One side in a separate process, which is suspended between its blocks."""

    def __init__(self, side: Side, accelerator: str) -> None:
        self.side = side
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_work, args=(theirs, side, accelerator))
        self._process.start()
        theirs.close()

    def run(self, steps: int) -> Block:
        """Performs this number of steps.

        Raises:
            DacoError: the side cannot train.
        """
        self._signal(signal.SIGCONT)
        try:
            self._connection.send(steps)
            answer: Block | DacoError = self._connection.recv()
        except (EOFError, BrokenPipeError) as error:
            raise DacoError(f"{self.side.name} ended without a result, perhaps because memory was full.") from error
        if isinstance(answer, DacoError):
            raise answer
        self._signal(signal.SIGSTOP)
        return answer

    def end(self) -> None:
        """Ends the process and its loaders."""
        self._signal(signal.SIGKILL)
        self._process.kill()
        self._process.join()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):  # not started yet, or ended
            os.killpg(self._process.pid or 0, number)


def _work(connection: Connection, side: Side, accelerator: str) -> None:
    """The process of a side: receives numbers of steps and returns blocks, until it is ended."""
    os.setsid()  # a separate process group, so that its loaders are suspended and ended with it
    try:
        device, precision, waiting, losses = _begin(side, accelerator)
        counter = FlopCounterMode(display=False)
        while True:
            steps, seconds = connection.recv(), []
            next(losses)
            waited = waiting.seconds()
            for _ in range(steps):
                began = perf_counter()
                with counter if side.published and not counter.get_total_flops() else nullcontext():
                    next(losses)
                seconds.append(perf_counter() - began)
            waited = waiting.seconds() - waited
            rate = _matrix_rate(device, precision)
            give_back_freed()  # frees memory for the others while it is suspended
            connection.send(Block(seconds, waited, _peak(device), rate, counter.get_total_flops()))
    except DacoError as error:
        connection.send(error)
    except EOFError:  # the benchmark has ended
        pass


def _begin(side: Side, accelerator: str) -> tuple[torch.device, str, WaitingTime, Iterator[float]]:
    if side.published:
        from daco_bench.speed.published_loop import PublishedLoop

        cuda = accelerator != "cpu" and torch.cuda.is_available()
        loop = PublishedLoop(side.settings, torch.device("cuda" if cuda else "cpu"), side.loader_workers)
        return loop.device, "fp32", loop.waiting, loop.steps()

    from daco_training.loop.trainer import Trainer

    trainer = Trainer(side.settings, accelerator, processes=1)
    trainer.network.train()
    batches = trainer.batches()
    for _, index in chain.from_iterable(batches):
        for files in trainer.views.files.values():
            trainer.views.store[files[index]]  # cached, as after the first epoch of a run
    device = trainer.fabric.device
    settings = side.settings
    precision = choose_precision(settings.precision, settings.backbone, device.type, settings.frozen)
    return device, precision, trainer.ahead.waiting, trainer.steps(batches)


def _matrix_rate(device: torch.device, precision: str, size: int = 2048, times: int = 8) -> float:
    """Operations per second in the fastest of several products of large matrices."""
    matrix = torch.rand(size, size, device=device, dtype=FORMATS[precision])
    seconds = []
    for _ in range(times):
        began = perf_counter()
        (matrix @ matrix)[0, 0].item()  # waits for a GPU
        seconds.append(perf_counter() - began)
    return 2 * size**3 / min(seconds)


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cells(row: SpeedRow) -> list[str]:
    """A row as text, in the order of `HEADER`."""
    return [
        row.name,
        f"{row.step_seconds:.3g}",
        f"{row.images_per_second:.3g}",
        f"{row.ratio:.2f}",
        f"{row.most:.2f}",
        f"{row.peak_memory / 1e9:.2f}",
        f"{100 * row.waiting:.1f}",
    ]


def show(rows: Sequence[SpeedRow], title: str) -> None:
    """Prints the table to the terminal."""
    text_table.show(HEADER, [cells(row) for row in rows], title)


def to_markdown(rows: Sequence[SpeedRow]) -> str:
    """The table in Markdown."""
    return text_table.to_markdown(HEADER, [cells(row) for row in rows], words=1)
