"""Kills writers of one index at many points, and says after each what answers; run as a program by the tests.

python kill_points.py INDEX ENCODER: a fork of this process writes a generation and kills itself (SIGKILL) at its n-th
step on the disk, for every n until it comes through; then the same with kills from outside at moments of time. Each
generation's vectors are its own, so that an answer shows which one gave it. Prints one JSON object.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from index.bundle import Bundle, write_generation
from index.catalog import Entry
from index.descriptors import Descriptors
from index.generations import Writer
from training.encoder import Encoder

COUNT = 40
STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "sqlite3.connect"}


def vectors_of(generation: int, dimension: int) -> np.ndarray:
    drawn = np.random.default_rng(generation).normal(size=(COUNT, dimension)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def write(index: Path, encoder: Encoder, generation: int) -> None:
    entries = [Entry(i, f"/{i}", f"g{generation}", None, None, None, 1, 1, "0" * 64) for i in range(COUNT)]
    with Writer(index) as writer:
        descriptors = Descriptors(encoder.dimension)
        descriptors.make(range(COUNT), vectors_of(generation, encoder.dimension))
        write_generation(writer, descriptors, entries, encoder, f"g{generation}")


def kill_at_step(index: Path, number: int) -> None:
    left = number

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in STEPS and any(str(index) in str(argument) for argument in arguments):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def attempt(index: Path, encoder: Encoder, generation: int, step: int | None, delay: float | None) -> bool:
    """Whether a fork came through with writing a generation that is killed at a step or after a delay."""
    child = os.fork()
    if child == 0:
        if step is not None:
            kill_at_step(index, step)
        write(index, encoder, generation)
        os._exit(0)
    if delay is not None:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1] == 0


def answering(index: Path, attempted: int) -> int:
    """The attempt whose index answers: opened, verified, and every vector finds its own entry."""
    bundle = Bundle.open(index)
    source = int(bundle.manifest.source.removeprefix("g"))
    assert source <= attempted
    for number, matches in enumerate(bundle.search(vectors_of(source, bundle.store.dimension), 1)):
        assert (matches[0].entry.id, matches[0].entry.place) == (number, f"g{source}")
    return source


def main(index: Path, encoder: Encoder) -> None:
    write(index, encoder, 0)
    live, attempts, killed, published = 0, 0, 0, 0
    came_through = False
    while not came_through:
        attempts += 1
        came_through = attempt(index, encoder, attempts, step=attempts - 1, delay=None)
        found = answering(index, attempts)
        assert found in (live, attempts), f"after the kill at step {attempts - 1}, attempt {found} answers, not {live}"
        published += found != live
        killed += not came_through
        live = found
    steps = attempts

    start = time.perf_counter()
    attempts += 1
    assert attempt(index, encoder, attempts, step=None, delay=None)
    seconds = time.perf_counter() - start
    live = attempts
    for delay in np.linspace(0, 1.2 * seconds, 15):
        attempts += 1
        came_through = attempt(index, encoder, attempts, step=None, delay=float(delay))
        found = answering(index, attempts)
        assert found in (live, attempts), f"after the kill at {delay:.3f} s, attempt {found} answers, not {live}"
        killed += not came_through
        live = found

    write(index, encoder, attempts + 1)
    assert answering(index, attempts + 1) == attempts + 1
    generations = sorted(path.name for path in (index / "generations").iterdir())
    print(json.dumps({"steps": steps, "killed": killed, "published_then_killed": published, "left": generations}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Encoder.load(Path(sys.argv[2])))
