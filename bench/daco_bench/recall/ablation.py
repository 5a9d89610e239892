"""The modern recipe, whole and without each of its parts: what each is worth."""

from collections.abc import Sequence

from daco_bench.recall.compare import train_and_ask
from daco_bench.recall.retrieval import Retrieval
from daco_training.loop.settings import TrainSettings

WHOLE = "whole"


def ablate_recipe(settings: TrainSettings, parts: Sequence[str], candidates: int = 0) -> list[Retrieval]:
    """The answers of the whole recipe, then of the recipe without each part, under the same budget.

    Args:
        settings: of the modern recipe; each run goes below a folder of its own in `save_root`.
        candidates: how many answers are ranked again.

    Raises:
        DacoError: the recipe has no such part, or a run cannot be made.
    """
    runs = {WHOLE: settings.but(save_root=settings.save_root / WHOLE)}
    for part in parts:
        runs[f"without {part}"] = settings.but(without=(part,), save_root=settings.save_root / f"without_{part}")
    return [answers for label, run in runs.items() for answers in train_and_ask(run, label, candidates)]
