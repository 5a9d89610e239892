"""The comparison's report: tables beside the published one, paired tests, what they support, and pictures."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from daco_bench.figures.strips import query_strips
from daco_bench.recall import table
from daco_bench.recall.comparison import TEST_HEADER, Paired, paired_tests, test_cells, tests_to_json
from daco_bench.recall.retrieval import DEPTH, Nearest, Retrieval, mean_recall
from daco_bench.recall.table import published_rows, recall_rows
from daco_bench.recall.task import Task, validation_task
from daco_bench.report.html_page import write_page
from daco_bench.report.text_table import to_markdown
from daco_bench.reproduction.contenders import METHODS
from daco_bench.reproduction.curves import draw_curves
from daco_bench.reproduction.outcome import Outcome, load_outcome
from daco_core.errors import DacoError, UsageError
from daco_core.photographs.contact_sheet import save_picture
from daco_core.photographs.layout import DataSet

DACO = "daco"
BOUND = "daco, rendered twins"  # what a perfect translator would reach
OURS = ", our recipe"
SIGNIFICANT = 0.05
STRIPS = 6

Answers = dict[str, list[Retrieval]]
"""Contender to its answers, a Retrieval for each direction, in which all seeds follow one another."""


@dataclass(frozen=True)
class Report:
    """All that the report says.

    Args:
        scale: what was scaled, in words.
        answers: of every contender.
        published: the published rows beside them.
        claim: tests of daco beside each other method, with the published settings, at the first rank.
        late: the same at the last rank.
        bound: tests of daco with rendered twins beside each other method, at the first rank.
        causes: tests of each variant beside the method that it varies.
        ours: tests of daco beside each other method, with our recipe.
        seeds: contender to, for each seed, the mean R@1 after the last iteration and the best of the curve, in percent.
        centred: contender to the recall at the first rank in each direction, in percent and the mean over seeds, as it
            is and where each domain's mean descriptor is subtracted first.
        losses: contender to the mean training loss at the first and at the last point of the curve.
    """

    scale: str
    answers: Answers
    published: list[table.RecallRow]
    claim: list[Paired]
    late: list[Paired]
    bound: list[Paired]
    causes: list[Paired]
    ours: list[Paired]
    seeds: dict[str, list[tuple[int, float, float]]]
    centred: dict[str, dict[str, tuple[float, float]]]
    losses: dict[str, tuple[float, float]]


def load_outcomes(folder: Path) -> dict[str, list[Outcome]]:
    """Contender to its outcomes, by seed.

    Raises:
        DacoError: there are none, one is damaged, or those that stand in one table differ in their settings.
    """
    found: dict[str, list[Outcome]] = {}
    for file in sorted(folder.glob("*.json")):
        outcome = load_outcome(file)
        found.setdefault(outcome.contender, []).append(outcome)
    if not found:
        raise UsageError(f"{folder} holds no outcome: the same command without --report-only trains.")
    for outcomes in found.values():
        outcomes.sort(key=lambda outcome: outcome.seed)
    for recipe in ("published", "modern"):
        alike = [one for outcomes in found.values() for one in outcomes if one.settings["recipe"] == recipe]
        for name in ("iters", "image_size", "backbone", "precision", "val_every", "data_name"):
            values = {one.settings[name] for one in alike}
            if len(values) > 1:
                raise UsageError(f"{folder} mixes runs of several {name}: {', '.join(map(str, sorted(values)))}.")
        _check_seeds(folder, alike)
    order = sorted(found, key=lambda name: (METHODS.index(found[name][0].settings["method_name"]), name))
    return {name: found[name] for name in order}


def _check_seeds(folder: Path, alike: Sequence[Outcome]) -> None:
    """Rejects outcomes of one recipe if a contender lacks a seed: a paired test needs the same queries of both."""
    made = {(one.contender, one.seed) for one in alike}
    for contender in dict.fromkeys(one.contender for one in alike):
        missing = sorted(seed for seed in {one.seed for one in alike} if (contender, seed) not in made)
        if missing:
            raise UsageError(
                f"{folder} holds no outcome of {contender} with seed {missing[0]}, but others with it: train it with"
                " the same command, or take the others out."
            )


def make_report(
    outcomes: Mapping[str, Sequence[Outcome]], dataset: DataSet, ranks: Sequence[int], beside: str
) -> Report:
    """The report of outcomes on a data set.

    Args:
        beside: the published data set whose rows stand beside ours.

    Raises:
        DacoError: the outcomes are of other validation photographs than the data set has.
    """
    task = validation_task(dataset)
    photographs = dataset.fingerprint(task.images)
    for several in outcomes.values():
        for one in several:
            if one.photographs != photographs:
                raise DacoError(f"The runs of {one.contender} were validated on other photographs than {task.title}.")
    answers = {name: ask(task, name, several, max(DEPTH, *ranks)) for name, several in outcomes.items()}
    first, named = min(ranks), list(answers)
    plain = [name for name in named if "," not in name]
    causes = [(name, name.split(",")[0]) for name in named if "," in name and not name.endswith(OURS)]
    claim = [(DACO, name) for name in plain if name != DACO and DACO in answers]
    bound = [(BOUND, name) for name in plain if name != DACO and BOUND in answers]
    return Report(
        describe_scale(next(iter(outcomes.values()))[0], outcomes, task),
        answers,
        published_rows(beside, ranks),
        paired_tests(answers, claim, first),
        paired_tests(answers, claim, max(ranks)),
        paired_tests(answers, bound, first),
        paired_tests(answers, [(name, than) for name, than in causes if than in answers], first),
        paired_tests(
            answers,
            [
                (DACO + OURS, name)
                for name in named
                if name.endswith(OURS) and name != DACO + OURS and DACO + OURS in named
            ],
            first,
        ),
        {name: [_of_seed(task, one, first) for one in several] for name, several in outcomes.items()},
        {name: _centred(task, answers[name], several, first) for name, several in outcomes.items()},
        {
            name: (
                _mean(one.curve[0]["train_loss"] for one in several),
                _mean(one.curve[-1]["train_loss"] for one in several),
            )
            for name, several in outcomes.items()
        },
    )


def ask(task: Task, name: str, outcomes: Sequence[Outcome], depth: int) -> list[Retrieval]:
    """A contender's answers in each direction, those of all seeds one after the other."""
    found = []
    for direction in task.directions:
        seeds = [task.rank(one.descriptors, name, direction, depth) for one in outcomes]
        found.append(join_seeds(seeds))
    return found


def join_seeds(seeds: Sequence[Retrieval]) -> Retrieval:
    """One Retrieval of several by the same queries. Queries of one place share a group, whatever the seed."""
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
    """In words, what differs from the published comparison."""
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


def claims(tests_made: Sequence[Paired]) -> list[str]:
    """What paired tests support, a sentence for each pair of contenders."""
    sentences = []
    for method, than, rank in dict.fromkeys((test.method, test.than, test.rank) for test in tests_made):
        tests = [test for test in tests_made if (test.method, test.than, test.rank) == (method, than, rank)]
        ahead = [test for test in tests if test.adjusted < SIGNIFICANT and test.difference.points > 0]
        behind = [test for test in tests if test.adjusted < SIGNIFICANT and test.difference.points < 0]
        words = [
            f"{_ways(group)} {word} ({', '.join(f'{test.difference.points:+.1f}' for test in group)} points)"
            for group, word in ((ahead, "ahead"), (behind, "behind"))
            if group
        ]
        open_ways = [test for test in tests if test not in ahead and test not in behind]
        if open_ways:
            words.append(f"{_ways(open_ways)} not significantly different")
        sentences.append(f"{method} beside {than}, R@{rank}: {'; '.join(words)}.")
    return sentences


def to_page(report: Report, ranks: Sequence[int]) -> str:
    """The report in Markdown."""
    plain = [name for name in report.answers if "," not in name]
    ours = [name for name in report.answers if name.endswith(OURS)]
    variants = [name for name in report.answers if name not in plain and name not in ours]
    parts = [report.scale, *[f"- {sentence}" for sentence in claims([*report.claim, *report.late, *report.bound])]]
    parts += ["## The methods with their published settings", _table(report, plain, ranks, report.published)]
    parts += _tests(report.claim) + _tests(report.late)
    if report.bound:
        parts += ["## With the twins of a perfect translator", *_tests(report.bound)]
    if variants:
        parts += ["## Variants that explain it", _table(report, variants, ranks), *_tests(report.causes)]
    if ours:
        parts += ["## The methods with our recipe", _table(report, ours, ranks), *_tests(report.ours)]
    parts += ["## Seed by seed", _seed_table(report)]
    parts += ["## Training loss, and the offset between the domains", _centred_table(report)]
    return "\n\n".join(parts).replace(".\n\n- ", ".\n- ") + "\n"


def write_report(
    report: Report, outcomes: Mapping[str, Sequence[Outcome]], ranks: Sequence[int], folder: Path, subject: str
) -> list[Path]:
    """Writes `report.md`, `.csv`, `.json`, the curves, strips and, where openTSNE is installed, t-SNE.

    Raises:
        DacoError: a file cannot be written, a photograph cannot be read, or matplotlib is missing.
    """
    import json

    from daco_core.figures import save_figure

    rows = [row for answers in report.answers.values() for row in recall_rows(answers, ranks)]
    content: dict[str, Any] = {
        "scale": report.scale,
        "claims": claims([*report.claim, *report.late, *report.bound]),
        "rows": table.to_json([*rows, *report.published]),
        "tests": {
            "claim": tests_to_json(report.claim),
            "last_rank": tests_to_json(report.late),
            "rendered_twins": tests_to_json(report.bound),
            "variants": tests_to_json(report.causes),
            "our_recipe": tests_to_json(report.ours),
        },
        "seeds": {name: [list(values) for values in several] for name, several in report.seeds.items()},
        "domain_means_subtracted": report.centred,
        "losses": report.losses,
        "seconds": {name: [one.seconds for one in several] for name, several in outcomes.items()},
    }
    texts = {
        "report.md": to_page(report, ranks),
        "recalls.csv": table.to_csv([*rows, *report.published], ranks, subject),
        "report.json": json.dumps(content, indent=1) + "\n",
    }
    files = []
    for name, text in texts.items():
        write_page(folder / name, text)
        files.append(folder / name)
    for name, suffix in (("curves", ""), ("our_recipe", OURS)):
        chosen = {one: several for one, several in outcomes.items() if one.endswith(OURS) == bool(suffix)}
        if chosen:
            save_figure(draw_curves(chosen), folder / f"{name}.svg")
            files.append(folder / f"{name}.svg")
    plain = [answers[0] for name, answers in report.answers.items() if "," not in name]
    save_picture(query_strips(plain, STRIPS, cell=144), folder / "strips.jpg")
    return [*files, folder / "strips.jpg"]


def _of_seed(task: Task, outcome: Outcome, rank: int) -> tuple[int, float, float]:
    vectors = outcome.descriptors
    last = mean_recall([task.rank(vectors, outcome.contender, way, rank) for way in task.directions], rank)
    return outcome.seed, round(100 * last, 2), round(max(row["val_precise"] for row in outcome.curve), 2)


def _centred(
    task: Task, answers: Sequence[Retrieval], outcomes: Sequence[Outcome], rank: int
) -> dict[str, tuple[float, float]]:
    rows = task.directions["a->b"]
    found: dict[str, list[float]] = {way: [] for way in task.directions}
    for one in outcomes:
        vectors = one.descriptors.copy()
        for domain in rows:
            vectors[domain] -= vectors[domain].mean(axis=0)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        for way in task.directions:
            found[way].append(100 * task.rank(vectors, one.contender, way, rank).recall(rank))
    plain = {one.direction: 100 * one.recall(rank) for one in answers}
    return {way: (plain[way], _mean(values)) for way, values in found.items()}


def _centred_table(report: Report) -> str:
    ways = list(next(iter(report.centred.values())))
    header = ["", "loss at the first point", "at the last", *ways, *[f"{way}, means subtracted" for way in ways]]
    lines = [
        [name, *[f"{loss:.2f}" for loss in report.losses[name]]]
        + [f"{found[way][0]:.1f}" for way in ways]
        + [f"{found[way][1]:.1f}" for way in ways]
        for name, found in report.centred.items()
    ]
    return to_markdown([cell.replace("<", "\\<") for cell in header], lines, words=1)


def _mean(values: Iterable[float]) -> float:
    listed = list(values)
    return round(sum(listed) / len(listed), 2)


def _table(
    report: Report, names: Sequence[str], ranks: Sequence[int], published: Sequence[table.RecallRow] = ()
) -> str:
    rows = []
    for name in names:
        rows += recall_rows(report.answers[name], ranks)
        rows += [row for row in published if row.method == f"{name} (published)"]
    return to_markdown(table.header(ranks), [table.cells(row, ranks) for row in rows])


def _tests(tests: Sequence[Paired]) -> list[str]:
    return [to_markdown(TEST_HEADER, [test_cells(test) for test in tests])] if tests else []


def _seed_table(report: Report) -> str:
    seeds = sorted({seed for several in report.seeds.values() for seed, *_ in several})
    header = ["mean R@1 of the directions, after the last iteration (best of the curve)", *[f"seed {s}" for s in seeds]]
    lines = []
    for name, several in report.seeds.items():
        by_seed = {seed: f"{last:.1f} ({best:.1f})" for seed, last, best in several}
        lines.append([name, *[by_seed.get(seed, "–") for seed in seeds]])  # noqa: RUF001
    return to_markdown(header, lines, words=1)


def _ways(tests: Sequence[Paired]) -> str:
    return ", ".join(test.direction for test in tests)
