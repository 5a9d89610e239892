"""The results of the comparison: recalls, published recalls, paired tests, losses, and recall on training data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from daco_bench.recall import table
from daco_bench.recall.comparison import Paired, paired_tests
from daco_bench.recall.retrieval import DEPTH, Nearest, Retrieval, mean_recall
from daco_bench.recall.table import published_rows
from daco_bench.recall.task import Task, validation_task
from daco_bench.reproduction.contenders import METHODS, MODERN_RECIPE, MORE_ITERATIONS, PERFECT
from daco_bench.reproduction.diagnosis import centred_recalls, largest_hubs, mean, recalls_in_training
from daco_bench.reproduction.outcome import Outcome, load_outcome
from daco_core.errors import DacoError, UsageError
from daco_core.photographs.layout import DataSet

DACO = "daco"

Answers = dict[str, list[Retrieval]]
"""Contender to its answers: a Retrieval for each direction, which contains all seeds."""


@dataclass(frozen=True)
class Report:
    """The contents of the report.

    Args:
        scale: what was scaled down, in words.
        answers: of every contender.
        published: the published rows.
        claim: tests of daco against each other method, with the published settings, at the first rank.
        late: the same at the last rank.
        bound, late_bound: tests of daco with rendered twins against each other method, at the first and the last rank.
        causes: tests of each variant against the method that it varies.
        modern: tests of daco against each other method, with the modern recipe.
        seeds: contender to, for each seed, the mean R@1 after the last iteration and the best of the curve, in percent.
        centred: contender to the recall at the first rank in each direction, in percent, averaged over seeds, without
            and with subtraction of each domain's mean descriptor.
        losses: contender to the mean training loss at the first and at the last point of the curve.
        hubs: contender to, for each direction, the share of queries whose first match is the most frequent one, in
            percent and the mean over seeds.
        memorised: rank (the first and the last) to contender to, for each direction, the recall on training and on
            validation photographs, in percent and the mean over seeds; without those whose runs did not measure it.
    """

    scale: str
    answers: Answers
    published: list[table.RecallRow]
    claim: list[Paired]
    late: list[Paired]
    bound: list[Paired]
    late_bound: list[Paired]
    causes: list[Paired]
    modern: list[Paired]
    seeds: dict[str, list[tuple[int, float, float]]]
    centred: dict[str, dict[str, tuple[float, float]]]
    losses: dict[str, tuple[float, float]]
    hubs: dict[str, dict[str, float]]
    memorised: dict[int, dict[str, dict[str, tuple[float, float]]]]

    @property
    def of_daco(self) -> list[Paired]:
        """The tests of daco against the other methods, from which conclusions are drawn."""
        return [*self.claim, *self.late, *self.bound, *self.late_bound]


def load_outcomes(folder: Path) -> dict[str, list[Outcome]]:
    """Contender to its outcomes, by seed.

    Raises:
        DacoError: there are none, one is damaged, or the settings of those in one table differ.
    """
    found: dict[str, list[Outcome]] = {}
    for file in sorted(folder.glob("*.json")):
        outcome = load_outcome(file)
        found.setdefault(outcome.contender, []).append(outcome)
    if not found:
        raise UsageError(f"{folder} contains no outcome: run the same command without --report-only to train.")
    for outcomes in found.values():
        outcomes.sort(key=lambda outcome: outcome.seed)
    for recipe in ("published", "modern"):
        alike = [one for outcomes in found.values() for one in outcomes if one.settings["recipe"] == recipe]
        for name in ("iters", "image_size", "backbone", "precision", "val_every", "data_name"):
            longer = name == "iters"  # contenders with more iterations differ in it on purpose
            values = {one.settings[name] for one in alike if not (longer and one.contender.endswith(MORE_ITERATIONS))}
            if len(values) > 1:
                raise UsageError(f"{folder} mixes runs of several {name}: {', '.join(map(str, sorted(values)))}.")
        _check_seeds(folder, alike)
    order = sorted(found, key=lambda name: (METHODS.index(found[name][0].settings["method_name"]), name))
    return {name: found[name] for name in order}


def _check_seeds(folder: Path, alike: Sequence[Outcome]) -> None:
    """Rejects outcomes of one recipe if a contender lacks a seed, because a paired test needs the same queries."""
    made = {(one.contender, one.seed) for one in alike}
    for contender in dict.fromkeys(one.contender for one in alike):
        missing = sorted(seed for seed in {one.seed for one in alike} if (contender, seed) not in made)
        if missing:
            raise UsageError(
                f"{folder} contains no outcome of {contender} with seed {missing[0]}, but others with it: train it with"
                " the same command, or remove the others."
            )


def make_report(
    outcomes: Mapping[str, Sequence[Outcome]], dataset: DataSet, ranks: Sequence[int], beside: str | None
) -> Report:
    """Makes the report of outcomes on a data set.

    Args:
        beside: the published data set whose recalls are shown for comparison; None for none.

    Raises:
        DacoError: the outcomes come from other validation photographs than those of the data set.
    """
    task = validation_task(dataset)
    photographs = dataset.fingerprint(task.images)
    for several in outcomes.values():
        for one in several:
            if one.photographs != photographs:
                raise DacoError(f"The runs of {one.contender} were validated on other photographs than {task.title}.")
    answers = {name: ask(task, name, several, max(DEPTH, *ranks)) for name, several in outcomes.items()}
    first, last, named = min(ranks), max(ranks), list(answers)
    plain = [name for name in named if "," not in name]
    # a variant's name begins with the name of the contender that it varies: "daco, rendered twins" after "daco"
    causes = [(name, name.rpartition(", ")[0]) for name in named if "," in name and not name.endswith(MODERN_RECIPE)]
    claim = [(DACO, name) for name in plain if name != DACO and DACO in answers]
    bound = [(PERFECT, name) for name in plain if name != DACO and PERFECT in answers]
    return Report(
        describe_scale(next(iter(outcomes.values()))[0], outcomes, task),
        answers,
        published_rows(beside, ranks) if beside else [],
        paired_tests(answers, claim, first),
        paired_tests(answers, claim, last),
        paired_tests(answers, bound, first),
        paired_tests(answers, bound, last),
        paired_tests(answers, [(name, than) for name, than in causes if than in answers], first),
        paired_tests(
            answers,
            [
                (DACO + MODERN_RECIPE, name)
                for name in named
                if name.endswith(MODERN_RECIPE) and name != DACO + MODERN_RECIPE and DACO + MODERN_RECIPE in named
            ],
            first,
        ),
        {name: [_of_seed(task, one, first) for one in several] for name, several in outcomes.items()},
        {name: centred_recalls(task, answers[name], several, first) for name, several in outcomes.items()},
        {
            name: (
                mean(one.curve[0]["train_loss"] for one in several),
                mean(one.curve[-1]["train_loss"] for one in several),
            )
            for name, several in outcomes.items()
        },
        {name: largest_hubs(answers[name], len(several)) for name, several in outcomes.items()},
        {
            rank: {
                name: found
                for name, several in outcomes.items()
                if (found := recalls_in_training(answers[name], several, rank))
            }
            for rank in dict.fromkeys((first, last))
        },
    )


def ask(task: Task, name: str, outcomes: Sequence[Outcome], depth: int) -> list[Retrieval]:
    """A contender's answers in each direction, with those of all seeds concatenated."""
    found = []
    for direction in task.directions:
        seeds = [task.rank(one.descriptors, name, direction, depth) for one in outcomes]
        found.append(join_seeds(seeds))
    return found


def join_seeds(seeds: Sequence[Retrieval]) -> Retrieval:
    """Concatenates several Retrievals for the same queries. Queries of one place share a group, whatever the seed."""
    nearest = Nearest(
        *(np.concatenate([getattr(one.nearest, name) for one in seeds]) for name in ("images", "scores", "ranks"))
    )
    return replace(
        seeds[0],
        queries=[query for one in seeds for query in one.queries],
        order=np.concatenate([one.order for one in seeds]),
        scores=np.concatenate([one.scores for one in seeds]),
        right=np.concatenate([one.right for one in seeds]),
        answerable=np.concatenate([one.answerable for one in seeds]),
        groups=np.concatenate([one.groups for one in seeds]),
        nearest=nearest,
    )


def describe_scale(one: Outcome, outcomes: Mapping[str, Sequence[Outcome]], task: Task) -> str:
    """The differences from the published comparison, in words."""
    published = [run for several in outcomes.values() for run in several if run.settings["recipe"] == "published"]
    run = published[0] if published else one
    seeds = sorted({run.seed for several in outcomes.values() for run in several})
    counts = ", ".join(f"{way} {len(asking)}" for way, (asking, _) in task.directions.items())
    return (
        f"Scaled, alike for all: backbone {run.settings['backbone']} (published: resnet50), pictures of"
        f" {run.settings['image_size']} pixels (published: 256), {run.settings['iters']:,} iterations (published:"
        f" 40,000). Number format {run.settings['precision']}; trained on {run.device}."
        f" Seeds: {', '.join(map(str, seeds))}. Queries a seed: {counts}."
        " Recall is of the encoder after the last iteration; none is chosen by its recall."
    )


def _of_seed(task: Task, outcome: Outcome, rank: int) -> tuple[int, float, float]:
    vectors = outcome.descriptors
    last = mean_recall([task.rank(vectors, outcome.contender, way, rank) for way in task.directions], rank)
    return outcome.seed, round(100 * last, 2), round(max(row["val_precise"] for row in outcome.curve), 2)
