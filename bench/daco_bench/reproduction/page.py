"""The report as a page: conclusions from the tests, tables with the published recalls, and figures."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daco_bench.figures import tsne
from daco_bench.figures.strips import query_strips
from daco_bench.recall import table
from daco_bench.recall.comparison import TEST_HEADER, Paired, test_cells, tests_to_json
from daco_bench.recall.table import recall_rows
from daco_bench.recall.task import Task, validation_task
from daco_bench.report.html_page import write_page
from daco_bench.report.text_table import to_markdown
from daco_bench.reproduction.contenders import MODERN_RECIPE, PERFECT
from daco_bench.reproduction.curves import draw_curves
from daco_bench.reproduction.outcome import Outcome
from daco_bench.reproduction.report import Report
from daco_core.errors import MissingExtra
from daco_core.photographs.contact_sheet import save_picture
from daco_core.photographs.layout import DataSet

SIGNIFICANT = 0.05
STRIPS = 6


def claims(tests_made: Sequence[Paired]) -> list[str]:
    """The conclusions from paired tests, a sentence for each pair of contenders."""
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
        sentences.append(f"{method} against {than}, R@{rank}: {'; '.join(words)}.")
    return sentences


def to_page(report: Report, ranks: Sequence[int]) -> str:
    """The report in Markdown."""
    plain = [name for name in report.answers if "," not in name]
    modern = [name for name in report.answers if name.endswith(MODERN_RECIPE)]
    variants = [name for name in report.answers if name not in plain and name not in modern]
    parts = [report.scale, *[f"- {sentence}" for sentence in claims(report.of_daco)]]
    parts += ["## The methods with their published settings", _table(report, plain, ranks, report.published)]
    parts += _tests(report.claim) + _tests(report.late)
    if report.bound:
        parts += ["## With the twins of a perfect translator", *_tests(report.bound), *_tests(report.late_bound)]
    if variants:
        parts += ["## Variants that explain it", _table(report, variants, ranks), *_tests(report.causes)]
    if modern:
        parts += ["## The methods with the modern recipe", _table(report, modern, ranks), *_tests(report.modern)]
    memorised = [
        _by_direction(f"R@{rank}", ("training", "validation"), found)
        for rank, found in report.memorised.items()
        if found
    ]
    if memorised:
        parts += ["## Recall on the training photographs", *memorised]
    parts += ["## Seed by seed", _seed_table(report)]
    parts += ["## Training loss", _loss_table(report)]
    parts += [
        "## The offset between the domains, and the share of the most frequent first match",
        _offset_table(report, min(ranks)),
    ]
    return "\n\n".join(parts).replace(".\n\n- ", ".\n- ") + "\n"


def write_report(
    report: Report, outcomes: Mapping[str, Sequence[Outcome]], ranks: Sequence[int], folder: Path, dataset: DataSet
) -> list[Path]:
    """Writes `report.md`, `.csv`, `.json`, the curves, strips and, if openTSNE is installed, t-SNE.

    Raises:
        DacoError: a file cannot be written, a photograph cannot be read, or matplotlib is missing.
    """
    from daco_core.figures import save_figure

    task = validation_task(dataset)
    rows = [row for answers in report.answers.values() for row in recall_rows(answers, ranks)]
    content: dict[str, Any] = {
        "scale": report.scale,
        "claims": claims(report.of_daco),
        "rows": table.to_json([*rows, *report.published]),
        "tests": {
            "claim": tests_to_json(report.claim),
            "last_rank": tests_to_json(report.late),
            "rendered_twins": tests_to_json([*report.bound, *report.late_bound]),
            "variants": tests_to_json(report.causes),
            "modern_recipe": tests_to_json(report.modern),
        },
        "seeds": {name: [list(values) for values in several] for name, several in report.seeds.items()},
        "domain_means_subtracted": report.centred,
        "most_frequent_match": report.hubs,
        "training_recalls": report.memorised,
        "losses": report.losses,
        "seconds": {name: [one.seconds for one in several] for name, several in outcomes.items()},
    }
    texts = {
        "report.md": to_page(report, ranks),
        "recalls.csv": table.to_csv([*rows, *report.published], ranks, dataset.name),
        "report.json": json.dumps(content, indent=1) + "\n",
    }
    files = []
    for name, text in texts.items():
        write_page(folder / name, text)
        files.append(folder / name)
    for name, suffix in (("curves", ""), ("modern_recipe", MODERN_RECIPE)):
        chosen = {one: several for one, several in outcomes.items() if one.endswith(MODERN_RECIPE) == bool(suffix)}
        if chosen:
            save_figure(draw_curves(chosen), folder / f"{name}.svg")
            files.append(folder / f"{name}.svg")
    shown = [name for name in report.answers if "," not in name or name == PERFECT]
    save_picture(query_strips([report.answers[name][0] for name in shown], STRIPS, cell=144), folder / "strips.jpg")
    files.append(folder / "strips.jpg")
    if (figure := _draw_planes(task, {name: outcomes[name][0] for name in shown})) is not None:
        save_figure(figure, folder / "tsne.svg")
        files.append(folder / "tsne.svg")
    return files


def _draw_planes(task: Task, shown: Mapping[str, Outcome]) -> Any | None:
    """t-SNE of the first seed's descriptors, a panel for each contender; None if openTSNE is not installed."""
    try:
        tsne.require()
    except MissingExtra:
        return None
    way = next(iter(task.directions))
    answers = [task.rank(one.descriptors, name, way) for name, one in shown.items()]
    return tsne.draw_planes([tsne.to_plane(one.descriptors) for one in shown.values()], answers, *task.directions[way])


def _loss_table(report: Report) -> str:
    lines = [[name, f"{first:.2f}", f"{last:.2f}"] for name, (first, last) in report.losses.items()]
    return to_markdown(["", "at the first point of the curve", "at the last"], lines, words=1)


def _offset_table(report: Report, rank: int) -> str:
    figures = {
        name: {way: (*recalls, report.hubs[name][way]) for way, recalls in found.items()}
        for name, found in report.centred.items()
    }
    return _by_direction("", (f"R@{rank}", "means subtracted", "most frequent match"), figures)


def _by_direction(corner: str, kinds: Sequence[str], figures: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """A row for each contender, and in each direction a column for each kind of figure."""
    ways = list(next(iter(figures.values())))
    header = [corner, *[f"{way}, {kind}".replace("<", "\\<") for way in ways for kind in kinds]]
    lines = [[name, *[f"{value:.1f}" for way in ways for value in found[way]]] for name, found in figures.items()]
    return to_markdown(header, lines, words=1)


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
