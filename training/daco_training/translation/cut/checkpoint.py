"""The training state of a direction on disk: plain tensors and numbers, and no code that is executed."""

from pathlib import Path
from typing import Any

import torch

from daco_core.errors import DacoError, reason_of
from daco_core.files import replace_file
from daco_core.photographs.layout import DataSet

FORMAT_VERSION = 1


def model_folder(dataset: DataSet) -> Path:
    return dataset.folder / "translation" / "cut"


def checkpoint_file(dataset: DataSet, source: str, target: str) -> Path:
    return model_folder(dataset) / f"{source}_to_{target}.pt"


def save_state(file: Path, state: dict[str, Any]) -> None:
    """Writes a state atomically.

    Raises:
        DacoError: it cannot be written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with replace_file(file) as fresh:
            torch.save({"format_version": FORMAT_VERSION, **state}, fresh)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError if the disk is full
        raise DacoError(f"The CUT model cannot be written to {file}: {reason_of(error)}.") from error


def load_state(file: Path) -> dict[str, Any]:
    """Reads a state to the CPU.

    Raises:
        DacoError: the file is damaged, or has another format.
    """
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # for a damaged file, torch raises errors of zip, of pickle, and its own
        raise DacoError(f"The CUT model {file} is damaged ({error}): delete it to train a new one.") from error
    if not isinstance(state, dict) or state.get("format_version") != FORMAT_VERSION:
        raise DacoError(f"The CUT model {file} has another format: delete it to train a new one.")
    return state
