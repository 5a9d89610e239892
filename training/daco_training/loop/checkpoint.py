"""The checkpoint of a run, from which it can be resumed."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from daco_core.errors import DacoError, NotFound, reason_of
from daco_core.files import replace_file

FORMAT_VERSION = 1


def save_checkpoint(fabric: Fabric, file: Path, state: Mapping[str, Any]) -> None:
    """Writes a run's state atomically; every process of the run must call it, and the first one writes.

    Raises:
        DacoError: the file cannot be written, or the disk is full.
    """
    try:
        with replace_file(file) if fabric.is_global_zero else nullcontext(file) as fresh:
            fabric.save(fresh, {"format_version": FORMAT_VERSION, **state})
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
        raise DacoError(f"The checkpoint cannot be written to {file}: {reason_of(error)}.") from error


def stored_settings(file: Path) -> dict[str, Any]:
    """The settings of the run in a checkpoint, without reading its tensors.

    Raises:
        DacoError: the checkpoint is damaged.
    """
    try:
        settings: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True, mmap=True)["settings"]
    except Exception as error:  # as in `load_checkpoint`
        raise DacoError(f"The checkpoint {file} is damaged ({error}): remove it to start again.") from error
    return settings


def load_checkpoint(fabric: Fabric, file: Path) -> dict[str, Any]:
    """Reads a run's state, without executing code that the file may contain.

    Raises:
        DacoError: there is no checkpoint, or it is damaged.
    """
    if not file.is_file():
        raise NotFound(f"There is no run to resume: {file} does not exist. Omit --resume to start a new run.")
    try:
        state: dict[str, Any] = fabric.load(file, weights_only=True)
    except Exception as error:  # for a damaged file, torch raises errors of zip, of pickle, and its own
        raise DacoError(f"The checkpoint {file} is damaged ({error}). Omit --resume to start a new run.") from error
    if state.get("format_version") != FORMAT_VERSION:
        raise DacoError(f"The checkpoint {file} has another format than this version of daco-train.")
    return state
