"""Encoders, checkpoints, calibrations and keys are the old or the new ones, whenever their writer is killed."""

import json
import os
import subprocess
import sys
from pathlib import Path


def test_a_writer_killed_at_any_step_leaves_the_old_or_the_new_content(tmp_path: Path) -> None:
    # one thread: a fork of a process with threads of OpenMP would hang
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, Path(__file__).with_name("killed_writers.py"), tmp_path]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert len(report) == 7
    for name, counts in report.items():
        assert counts["killed"] >= 3 and counts["old"] and counts["new"], (name, counts)
