"""The modern recipe, whole and without each of its parts: what each is worth."""

from collections.abc import Sequence

from daco_serve.benchmark.compare import train_and_measure
from daco_serve.benchmark.table import RecallRow
from training.settings import TrainSettings


def ablate_recipe(settings: TrainSettings, parts: Sequence[str]) -> list[RecallRow]:
    """Recall rows of the whole recipe, then of the recipe without each part, under the same budget.

    Args:
        settings: of the modern recipe; each run goes below a folder of its own in `save_root`.

    Raises:
        DacoError: the recipe has no such part, or a run cannot be made.
    """
    runs = {"whole": settings.but(save_root=settings.save_root / "whole")}
    for part in parts:
        runs[f"without {part}"] = settings.but(without=(part,), save_root=settings.save_root / f"without_{part}")
    return [row for label, run in runs.items() for row in train_and_measure(run, label)]
