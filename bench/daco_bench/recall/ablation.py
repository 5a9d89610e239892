"""An ablation of the modern recipe: with all its parts, and without each of them."""

from collections.abc import Sequence

from daco_bench.recall.compare import train_and_ask
from daco_bench.recall.retrieval import Retrieval
from daco_training.loop.settings import TrainSettings

WHOLE = "whole"


def ablate_recipe(settings: TrainSettings, parts: Sequence[str], candidates: int = 0) -> list[Retrieval]:
    """The answers with the full recipe, then without each part, under the same budget.

    Args:
        settings: of the modern recipe; each run has its own folder in `save_root`.
        candidates: number of candidates to re-rank.

    Raises:
        DacoError: the recipe has no such part, or a run fails.
    """
    runs = {WHOLE: settings.but(save_root=settings.save_root / WHOLE)}
    for part in parts:
        runs[f"without {part}"] = settings.but(without=(part,), save_root=settings.save_root / f"without_{part}")
    return [answers for label, run in runs.items() for answers in train_and_ask(run, label, candidates)]
