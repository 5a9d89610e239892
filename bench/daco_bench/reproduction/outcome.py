"""The stored outcome of a run: its settings, its curve, and the descriptors of the validation photographs."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from daco_bench.reproduction.contenders import FORMER_MODERN_RECIPE, MODERN_RECIPE
from daco_core.errors import DacoError, UsageError
from daco_core.files import replace_file

FORMAT = 1


@dataclass(frozen=True)
class Outcome:
    """The outcome of a finished run.

    Args:
        contender: the name of its `Contender`.
        settings: all relevant settings of its training, as plain values.
        photographs: a hash of the validation photographs' names.
        device: the device that it was trained on, in words.
        seconds: duration of the training, in the process that finished it.
        curve: a row for each validation: `iteration`, `train_loss`, `val_precise` and the recalls, in percent.
        descriptors: (photographs, dimension) of the encoder after the last iteration.
        training_recalls: direction to R@k, in percent, of as many training places as there are validation places; None
            if the training photographs are not pairs, or the run was made by an earlier version.
        seconds_per_iteration: in the process that finished it; None if the run was made by an earlier version.
    """

    contender: str
    settings: dict[str, Any]
    photographs: str
    device: str
    seconds: float
    curve: list[dict[str, float]]
    descriptors: NDArray[np.float32]
    training_recalls: dict[str, dict[str, float]] | None = None
    seconds_per_iteration: float | None = None

    @property
    def seed(self) -> int:
        return int(self.settings["seed"])

    def save(self, file: Path) -> None:
        """Writes the outcome to `file` (.json) and, before that, the descriptors next to it (.npy).

        Raises:
            DacoError: it cannot be written.
        """
        content = {"format": FORMAT, **{name: value for name, value in vars(self).items() if name != "descriptors"}}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with replace_file(file.with_suffix(".npy")) as fresh:
                np.save(fresh, self.descriptors.astype(np.float32), allow_pickle=False)
            with replace_file(file) as fresh:
                fresh.write_text(json.dumps(content, indent=1) + "\n")
        except OSError as error:
            raise DacoError(f"{file} cannot be written: {error}") from error

    def check_same(self, settings: dict[str, Any], photographs: str, file: Path) -> None:
        """Rejects an outcome with other settings.

        Raises:
            DacoError: names the settings that differ.
        """
        known = settings.keys() | self.settings.keys()
        differing = sorted(name for name in known if settings.get(name) != self.settings.get(name))
        changes = [f"{name} is {self.settings.get(name)}, not {settings.get(name)}" for name in differing]
        if photographs != self.photographs:
            changes.append("it was validated on other photographs")
        if changes:
            raise UsageError(f"{file} belongs to another run: {', '.join(changes)}. Give another --out, or remove it.")


def load_outcome(file: Path) -> Outcome:
    """Reads an outcome that `save` wrote.

    Raises:
        DacoError: the file is damaged or has another format.
    """
    try:
        content = json.loads(file.read_text())
        if content.pop("format") != FORMAT:
            raise DacoError(f"{file} does not have the format of this version of daco-bench.")
        former = content["contender"].removesuffix(FORMER_MODERN_RECIPE)
        if former != content["contender"]:
            content["contender"] = former + MODERN_RECIPE
        descriptors = np.load(file.with_suffix(".npy"), allow_pickle=False)
        return Outcome(**content, descriptors=descriptors)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DacoError(f"{file} is damaged ({error}): remove it to repeat the run.") from error
