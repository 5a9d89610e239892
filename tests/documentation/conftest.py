"""A folder with small, hand-made versions of the files that the commands of the documentation use."""

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.photographs.locations import PhotoLocation, write_locations

from ..recording_files import BagContents, sphere_metadata, street, write_bag, write_gpx, write_video
from .script import PRELUDE

PLACES = 24
WHERE = (35.6586, 139.7454)  # of the examples
STEP_DEGREES = 0.0001  # from place to place, 11 m

Shell = Callable[[str, Path], "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """To be copied, not changed. Night is the same street as day, darker."""
    import torch

    from daco_core.encoder.config import EncoderConfig
    from daco_index.build import BuildOptions, build_index
    from daco_index.search.index_choice import SearchOptions
    from daco_training.encoder.encoder import Encoder

    folder = tmp_path_factory.mktemp("workshop")
    data = folder / "data" / "demo"
    for domain, gain in (("domain_a", 1.0), ("domain_b", 0.4)):
        for split, numbers in (("train", range(PLACES - 6)), ("val", range(PLACES - 6, PLACES))):
            _take(data / "original" / domain / split, numbers, gain)
            if split == "train":
                _take(data / "generated" / domain / split, numbers, 1.4 - gain)
    (data / "domains.json").write_text(json.dumps({"domain_a": "day", "domain_b": "night"}))
    _take(folder / "photographs", range(PLACES), 1.0)
    _take(folder / "photographs" / "at-night", range(6), 0.4)
    _take(folder / "day", range(PLACES), 1.0)
    for name in ("queries", "night"):
        _take(folder / name, range(PLACES), 0.4)
    _take(folder / "more", range(PLACES, PLACES + 4), 1.0)
    _reconstruct(folder / "hall")
    (folder / "panoramas").mkdir()
    Image.effect_noise((240, 120), 90).convert("RGB").save(
        folder / "panoramas" / "one.jpg", xmp=sphere_metadata(PoseHeadingDegrees="90")
    )
    (bag,) = write_bag(folder / "bag", BagContents(satellites=["/gps/fix"])).glob("*.mcap")
    bag.rename(folder / "drive.mcap")
    write_video(folder / "ride.mp4", street(80))
    write_gpx(folder / "ride.gpx", 20)
    for name, number in (("night.jpg", 3), ("one.jpg", 1), ("two.jpg", 2)):
        shutil.copy(folder / "queries" / f"{number:03d}.jpg", folder / name)
    torch.manual_seed(0)
    town = folder / "result" / "town_daco"
    Encoder(EncoderConfig(backbone="test_resnet", image_size=64)).eval().save(town)
    for name in ("day", "a", "b", "mine", "town"):
        built = folder / "maps" / name
        options = SearchOptions(factory="HNSW8,SQ8") if name == "mine" else SearchOptions()
        build_index(
            str(folder / "photographs"), str(town), built, BuildOptions(progress=False, device="cpu", search=options)
        )
    return folder


def _take(folder: Path, numbers: range, gain: float) -> None:
    """Photographs of the places: blocks of colours that are each place's own."""
    folder.mkdir(parents=True, exist_ok=True)
    locations = {}
    for number in numbers:
        blocks = np.random.default_rng(number).integers(0, 255, (6, 8, 3)) * gain
        name = f"{number:03d}.jpg"
        Image.fromarray(blocks.astype(np.uint8)).resize((96, 72), Image.Resampling.NEAREST).save(folder / name)
        locations[name] = PhotoLocation(WHERE[0] + number * STEP_DEGREES, WHERE[1], 90.0, f"place {number}")
    write_locations(folder, locations)


def _reconstruct(folder: Path) -> None:
    """Photographs with a reconstruction, of cameras one metre apart that look along its y axis."""
    _take(folder / "images", range(4), 1.0)
    (folder / "images" / "locations.csv").unlink()
    poses = [[[1, 0, 0, number], [0, 0, -1, 0], [0, 1, 0, 1.5], [0, 0, 0, 1]] for number in range(4)]
    frames = [{"file_path": f"images/{number:03d}.jpg", "transform_matrix": pose} for number, pose in enumerate(poses)]
    (folder / "transforms.json").write_text(json.dumps({"frames": frames}))


@pytest.fixture(scope="session")
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        number: int = free.getsockname()[1]
    return number


@pytest.fixture(scope="session")
def shell(forked: Path) -> Shell:
    """Runs a script in a folder with bash, as a reader would who types it line by line and stops at the first error."""
    path = os.pathsep.join([str(forked), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = {**os.environ, "PATH": path, "DACO_LOG_LEVEL": "warning", "CUDA_VISIBLE_DEVICES": ""}

    def run(script: str, folder: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-c", f"{PRELUDE}\nset -x\n{script}\n"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    return run
