"""`make encoder`, the command that makes the encoder that ships, from end to end at a small size."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[2]
IMAGES = 12  # of each domain: with those of the rendered city at least one batch


@pytest.fixture
def driving(tmp_path: Path) -> Path:
    """Stands in for the photographs from moving cars."""
    random = np.random.default_rng(0)
    for domain, brightest in (("domain_a", 255), ("domain_b", 60)):
        folder = tmp_path / "driving/original" / domain / "train"
        folder.mkdir(parents=True)
        for number in range(IMAGES):
            blocks = random.integers(0, brightest, (6, 10, 3), dtype=np.uint8)
            Image.fromarray(blocks).resize((320, 192)).save(folder / f"{number}.jpg")
    return tmp_path / "driving"


@pytest.mark.slow
def test_the_command_makes_an_encoder_and_repeats_only_what_is_missing(tmp_path: Path, driving: Path) -> None:
    pytest.importorskip("mitsuba", reason="the demo city is rendered with Mitsuba, which is not installed")
    work, shipped = tmp_path / "encoder", tmp_path / "shipped"

    def make() -> None:
        folders = [f"DRIVING={driving}", f"WORK={work}", f"SHIPPED={shipped}"]
        command = ["make", "encoder", *folders, "PLACES=8", "SIZE=96", "ITERS=2"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]

    make()
    assert sorted(file.name for file in shipped.iterdir()) == [
        "encoder.json",
        "log-tail-0.csv",
        "log-tail-1e-4.csv",
        "model.onnx",
        "model.safetensors",
    ]
    first = (shipped / "model.safetensors").read_bytes()
    kept = {file: file.stat().st_mtime_ns for file in work.rglob("*.jpg")}
    for file in shipped.iterdir():
        file.unlink()
    make()
    assert (shipped / "model.safetensors").read_bytes() == first
    assert {file: file.stat().st_mtime_ns for file in work.rglob("*.jpg")} == kept, "nothing is rendered again"
