"""Runs of the suite on disk: the output of each part, saved immediately, so that a run can be resumed.

OUT/runs/0001/run.json       time, machine, commands, and whether it is finished
OUT/runs/0001/recall.json    the output of a part
OUT/report.html
"""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from daco_bench.report.html_page import write_page
from daco_bench.report.suite.parts import SuitePart
from daco_bench.speed.machine import machine
from daco_core.errors import DacoError

RUN_FILE = "run.json"
STOPPED = 130  # the exit code at Ctrl-C


@dataclass(frozen=True)
class SuiteRun:
    """One run of the suite, by its folder."""

    folder: Path

    @property
    def about(self) -> dict[str, Any]:
        return _read(self.folder / RUN_FILE)

    def result(self, part: SuitePart) -> dict[str, Any] | None:
        """The output of a part; None if it has not run, or did not finish."""
        file = self.folder / f"{part.name}.json"
        return _read(file) if file.is_file() else None

    def failure(self, part: SuitePart) -> str | None:
        """The error message of a part that failed."""
        failed: dict[str, str] = self.about["failed"]
        return failed.get(part.name)

    def update(self, **changes: Any) -> None:
        write_page(self.folder / RUN_FILE, json.dumps({**self.about, **changes}, indent=2) + "\n")


def begin_run(out: Path, settings: dict[str, Any]) -> tuple[SuiteRun, SuiteRun | None]:
    """The run to perform: the newest if it is unfinished and has these settings, else a new one; and the previous one.

    The previous one is the newest that was finished with the same settings, whichever parts it had.

    Raises:
        DacoError: the folder cannot be written.
    """
    earlier = [SuiteRun(file.parent) for file in sorted((out / "runs").glob(f"*/{RUN_FILE}"))]
    alike = [run for run in earlier if {**run.about["settings"], "parts": None} == {**settings, "parts": None}]
    before = next((run for run in reversed(alike) if run.about["finished"]), None)
    if earlier and not earlier[-1].about["finished"] and earlier[-1].about["settings"] == settings:
        return earlier[-1], before
    number = 1 + max((int(run.folder.name) for run in earlier), default=0)
    run = SuiteRun(out / "runs" / f"{number:04d}")
    about = {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "settings": settings,
        "failed": {},
        "finished": False,
    }
    write_page(run.folder / RUN_FILE, json.dumps(about, indent=2) + "\n")
    return run, before


def do_parts(run: SuiteRun, parts: Sequence[SuitePart], note: Callable[[str], None]) -> None:
    """Runs the parts without a result, each as a separate command; one that fails does not stop the others.

    Raises:
        DacoError: a result cannot be written.
    """
    for number, part in enumerate(parts, start=1):
        if run.result(part) is not None:
            note(f"[{number}/{len(parts)}] {part.title}: done before")
            continue
        note(f"[{number}/{len(parts)}] {part.title}: {' '.join(part.command)}")
        code, printed = _command(part.command)
        failed = {name: why for name, why in run.about["failed"].items() if name != part.name}
        if code == STOPPED:
            raise KeyboardInterrupt
        if code == 0:
            write_page(run.folder / f"{part.name}.json", printed)
        else:
            failed[part.name] = f"exit code {code}"
            note(f"[{number}/{len(parts)}] {part.title}: failed with exit code {code}")
        run.update(failed=failed)
    run.update(finished=True)


def _command(words: Sequence[str]) -> tuple[int, str]:
    """Runs a command of `daco-bench`; returns its exit code and output. After Ctrl-C it is given time to save."""
    command = [sys.executable, "-m", "daco_bench.cli.main", *words[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            printed, _ = process.communicate()
        except KeyboardInterrupt:  # the terminal has sent it to the command, too
            process.communicate()
            raise
    return process.returncode, printed


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DacoError(f"{file} cannot be read ({error}): delete it to run this part again.") from error
    return content
