"""A serving process loads OpenVINO and FAISS, and no other large native library of the project.

OpenVINO, PyTorch, Mitsuba and Ray each bring threads and memory allocation of their own into a process.
"""

import re
import sys
from pathlib import Path

import pytest

from daco_serve import Client

from .conftest import served

OTHERS = {"PyTorch": "libtorch", "Mitsuba": "libmitsuba", "Dr.Jit": "libdrjit", "Ray": "_raylet"}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("workers", [1, 2])
def test_a_serving_process_loads_openvino_and_neither_pytorch_nor_mitsuba_nor_ray(
    index: Path, photographs: Path, workers: int
) -> None:
    with served(index, "--workers", workers) as (address, process):
        with Client(address) as client:
            for number in range(6):
                assert client.query(photographs / f"{number}.png").matches
        loaded = {pid: libraries(pid) for pid in family(process.pid)}
    serving = [names for names in loaded.values() if any("openvino" in name for name in names)]
    assert len(serving) == workers, "else the names below may be the wrong ones"
    for names in loaded.values():
        for title, part in OTHERS.items():
            assert not [name for name in names if part in name], title


def family(pid: int) -> list[int]:
    """A process and all that it started, at any depth."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found += family(int(child))
    return found


def libraries(pid: int) -> set[str]:
    """The file names of the shared libraries that a process has loaded."""
    maps = Path(f"/proc/{pid}/maps").read_text()
    return {Path(path).name for path in re.findall(r"(/\S+\.so\S*)", maps)}
