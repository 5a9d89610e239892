"""Renders photographs of the demo city in several processes, with progress; it can be interrupted and resumed."""

import io
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from tqdm import tqdm

from daco_core.errors import DacoError
from daco_core.files import write_bytes
from daco_training.city.poses import write_depth


class Taken(Protocol):
    """Anything that can be rendered: a photograph of a place, or a frame of a drive."""

    def take(self, width: int, height: int) -> np.ndarray:
        """The picture, 8-bit sRGB (height, width, 3)."""

    def depth(self, width: int, height: int) -> np.ndarray:
        """Metres along the ray of each pixel (height, width); 0 where the pixel shows mostly sky."""


@dataclass(frozen=True)
class Job:
    """A photograph to render into `file`, and its depth map into `depth_file`, if any."""

    photograph: Taken
    file: Path
    depth_file: Path | None
    width: int
    height: int

    @property
    def missing(self) -> bool:
        """Whether the photograph, or the requested depth map, does not exist yet."""
        return not self.file.exists() or (self.depth_file is not None and not self.depth_file.exists())


def disk_error(error: OSError, path: Path) -> DacoError:
    """The error for a file that cannot be written."""
    where = error.filename or path
    return DacoError(f"Cannot write {where}: {error.strerror}; correct that and run the same command again.")


def render_all(jobs: list[Job], total: int, workers: int) -> None:
    """Renders photographs in separate processes, with progress; `total` includes those that exist already."""
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        with _interrupts_held():
            futures: list[Future[None]] = [pool.submit(_make_image, job) for job in jobs]
        with tqdm(total=total, initial=total - len(jobs), unit="image", desc="demo city") as bar:
            for future in as_completed(futures):
                future.result()
                bar.update()
    except BrokenProcessPool as error:
        raise DacoError(
            "A worker process was killed, perhaps because memory was full: "
            "run the same command again to resume, with fewer workers."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Starts processes that ignore Ctrl-C: they inherit the blocked signal, which the parent receives afterwards."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start_worker() -> None:
    """Ignores Ctrl-C, which the parent handles, and ends when the parent has ended for any reason."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_image(job: Job) -> None:
    """Renders a photograph and its depth map, as far as they are missing, and writes each atomically."""
    try:
        if not job.file.exists():
            encoded = io.BytesIO()
            Image.fromarray(job.photograph.take(job.width, job.height)).save(encoded, "jpeg", quality=95, subsampling=0)
            write_bytes(job.file, encoded.getvalue())
        if job.depth_file and not job.depth_file.exists():
            write_depth(job.depth_file, job.photograph.depth(job.width, job.height))
    except OSError as error:
        raise disk_error(error, job.file) from error
