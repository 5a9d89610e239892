"""Kills writers of files outside an index at every step, and reports what is read afterwards; run by the tests.

python killed_writers.py FOLDER

A fork replaces a file or a folder (an encoder, a checkpoint, a calibration, keys, ...) and kills itself (SIGKILL)
before its n-th step, for every n until the write comes through. After each, what is read has to be the old content or
the new one, complete; then the same write is made again and has to come through, with nothing left beside it.
Prints one JSON object of counts.
"""

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).with_name("index")))

import torch
from faults import die_at_step, fork
from lightning_fabric import Fabric

from daco_core import files
from daco_core.encoder.stored import open_encoder
from daco_core.photographs.locations import PhotoLocation, read_locations, write_locations
from daco_serve.engine.calibration import Calibration, Logistic, read_calibration
from daco_serve.operation.keys import Key, KeyFile
from daco_training.encoder import encoder as encoders
from daco_training.encoder.encoder import Encoder, EncoderConfig
from daco_training.loop.checkpoint import load_checkpoint, save_checkpoint
from daco_training.translation.cut.checkpoint import load_state, save_state

OLD, NEW = 1, 2


@dataclass(frozen=True)
class Written:
    """A thing on disk: its path in a folder, how version 1 or 2 of it is written, and which of them is read."""

    name: str
    path: str
    write: Callable[[Path, int], object]
    read: Callable[[Path], int]


def encoder_of(version: int) -> Encoder:
    torch.manual_seed(version)
    return Encoder(EncoderConfig(backbone="test_resnet", image_size=64))


def calibration_of(version: int) -> Calibration:
    none = [0.0] * 4
    logistic = Logistic(bias=0.0, weights=none)
    return Calibration(
        encoder="f",
        references=version,
        created="2026-01-01T00:00:00+00:00",
        queries="none",
        count=20,
        recall=0.9,
        elsewhere=0.2,
        mean=none,
        deviation=[1.0] * 4,
        is_right=logistic,
        is_on_map=logistic,
        right_errors=[],
        wrong_errors=[],
        held_out=None,
    )


def keys_of(version: int) -> list[Key]:
    return [Key(name=f"key{number}", sha256="0" * 64, created=datetime.now(UTC)) for number in range(version)]


def things() -> list[Written]:
    """Everything of ours that is replaced in place, apart from an index."""
    encoders._exported = lambda encoder: None  # type: ignore[assignment]  # takes seconds, and is not what is tested
    made = {version: encoder_of(version) for version in (OLD, NEW)}
    prints = {made[version].fingerprint: version for version in made}
    fabric = Fabric(accelerator="cpu", devices=1)
    state = {version: {"epoch": version, "weights": torch.full((1000,), float(version))} for version in (OLD, NEW)}

    def read_state(state: dict[str, object]) -> int:
        weights, epoch = state["weights"], state["epoch"]
        assert isinstance(weights, torch.Tensor) and isinstance(epoch, int) and (weights == epoch).all()
        return epoch

    return [
        Written(
            "encoder",
            "encoder",
            lambda path, version: made[version].save(path),
            lambda path: prints[open_encoder(path).fingerprint],
        ),
        Written(
            "checkpoint",
            "town_last.ckpt",
            lambda path, version: save_checkpoint(fabric, path, state[version]),
            lambda path: read_state(load_checkpoint(fabric, path)),
        ),
        Written(
            "translator",
            "day_to_night.pt",
            lambda path, version: save_state(path, state[version]),
            lambda path: read_state(load_state(path)),
        ),
        Written(
            "calibration",
            "calibration.json",
            lambda path, version: calibration_of(version).save(path),
            lambda path: read_calibration(path).references,
        ),
        Written(
            "keys",
            "keys.json",
            lambda path, version: KeyFile(path)._write(keys_of(version)),
            lambda path: len(KeyFile(path).read()),
        ),
        Written(
            "locations",
            "locations.csv",
            lambda path, version: write_locations(path.parent, {"a.jpg": PhotoLocation(float(version), 2.0)}),
            lambda path: int(read_locations(path.parent)["a.jpg"].latitude),
        ),
    ]


def kill(thing: Written, folder: Path) -> dict[str, int]:
    counts = {"killed": 0, "old": 0, "new": 0}
    path = folder / thing.path
    while True:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        thing.write(path, OLD)

        def write(step: int = counts["killed"]) -> None:
            die_at_step(folder, step)
            thing.write(path, NEW)

        code = fork(write)
        found = thing.read(path)
        assert found in (OLD, NEW), f"{thing.name}: {found}"
        thing.write(path, NEW)
        assert thing.read(path) == NEW
        assert [left.name for left in folder.iterdir()] == [path.name], f"{thing.name}: {list(folder.iterdir())}"
        if code == 0:
            return counts
        counts["killed"] += 1
        counts["old" if found == OLD else "new"] += 1


def main() -> None:
    root = Path(sys.argv[1])
    every = things()
    report = {thing.name: kill(thing, root / "exchanged") for thing in every}
    files._exchange = lambda fresh, path: False  # as on a file system that cannot exchange two folders
    report["encoder in two steps"] = kill(every[0], root / "renamed twice")
    print(json.dumps(report))


if __name__ == "__main__":
    main()
