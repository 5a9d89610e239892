"""docs/guide/camera-poses.md, followed step by step: poses in a rendered city are compared with the true ones."""

import re
from pathlib import Path

import pytest

from .conftest import Shell
from .pages import Block, blocks

OURS = "tests/documentation/test_camera_poses.py"


@pytest.mark.slow
def test_the_pairs_of_an_index_lead_to_the_true_camera_poses(shell: Shell, tmp_path: Path) -> None:
    pytest.importorskip("mitsuba")
    pytest.importorskip("pycolmap")
    shown = sorted((block for kind in ("sh", "python") for block in blocks(kind) if block.tried_by == OURS), key=_line)
    assert [block.language for block in shown] == ["sh", "python", "sh", "python"]
    script = "\n".join(
        f"python - <<'END'\n{block.text}\nEND" if block.language == "python" else block.text for block in shown
    )
    done = shell(script, tmp_path)
    assert done.returncode == 0, done.stderr[-4000:]
    located = re.findall(r"\.jpg: ([\d.]+) m, ([\d.]+) degrees", done.stdout)
    assert len(located) == 4, done.stdout
    assert sorted(float(metres) for metres, _ in located)[len(located) // 2] < 0.1
    assert sorted(float(degrees) for _, degrees in located)[len(located) // 2] < 0.5


def _line(block: Block) -> int:
    return block.line
