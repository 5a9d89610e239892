"""Lists the remaining work of the comparison, with an estimate of its duration."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from daco_bench.report.text_table import to_markdown
from daco_bench.reproduction.outcome import Outcome, load_outcome
from daco_bench.reproduction.runs import Run

DONE, BEGUN, MISSING = "done", "begun", "to do"


@dataclass(frozen=True)
class PlannedRun:
    """One run of the plan.

    Args:
        state: `done`, `begun` or `to do`.
        seconds: estimated remaining time, from finished runs; None if no comparable run is finished.
    """

    run: Run
    state: str
    seconds: float | None


def plan_of(runs: Sequence[Run]) -> list[PlannedRun]:
    """The state of each run, with times estimated from finished runs of the same network, image size and precision.

    Started runs are counted as if they began anew, so their times are upper bounds. The settings of finished runs are
    compared with the plan only when training starts.

    Raises:
        DacoError: a finished run is damaged.
    """
    finished = [load_outcome(run.file) for run in runs if run.file.exists()]
    planned = []
    for run in runs:
        if run.file.exists():
            planned.append(PlannedRun(run, DONE, 0.0))
            continue
        pace = _pace(run, finished)
        state = BEGUN if run.settings.checkpoint_file.exists() else MISSING
        planned.append(PlannedRun(run, state, None if pace is None else pace * run.settings.iters))
    return planned


def time_left(planned: Sequence[PlannedRun], jobs: int = 1) -> float | None:
    """Seconds until the last run is finished, with `jobs` concurrent runs; None if no estimate is possible."""
    known = [one.seconds for one in planned if one.seconds is not None]
    unknown = [one for one in planned if one.seconds is None]
    if unknown and not any(known):
        return None
    usual = mean(seconds for seconds in known if seconds) if any(known) else 0.0
    return (sum(known) + usual * len(unknown)) / jobs


def to_table(planned: Sequence[PlannedRun]) -> str:
    """The plan in Markdown, a line for each run."""
    lines = [
        [
            one.run.settings.data_name,
            one.run.contender.name,
            str(one.run.settings.seed),
            f"{one.run.settings.iters:,}",
            one.state,
            "" if one.state == DONE else "unknown" if one.seconds is None else in_words(one.seconds),
        ]
        for one in planned
    ]
    return to_markdown(["data set", "contender", "seed", "iterations", "state", "time left"], lines, words=2)


def describe_plan(planned: Sequence[PlannedRun], to_render: Mapping[str, int], jobs: int) -> str:
    """The plan as text: photographs to render, runs, and the remaining time for training."""
    rendering = [f"{condition}: {count}" for condition, count in to_render.items() if count]
    parts = [f"Photographs to render: {', '.join(rendering)}."] if rendering else []
    left = time_left(planned, jobs)
    done = sum(one.state == DONE for one in planned)
    time = "unknown until the first run is finished" if left is None else f"about {in_words(left)}"
    some = f"{done} of {len(planned)} runs are done. Time left for training: {time}."
    parts += [to_table(planned), f"All {done} runs are done." if done == len(planned) else some]
    return "\n\n".join(parts)


def progress(run: Run, planned: Sequence[PlannedRun], jobs: int) -> str:
    """The sentence after a finished run."""
    done = sum(one.state == DONE for one in planned)
    left = time_left(planned, jobs) or 0.0
    about = f", about {in_words(left)} left" if done < len(planned) else ""
    data = run.settings.data_name
    return f"{data}, {run.contender.name}, seed {run.settings.seed}: done ({done} of {len(planned)} runs{about})."


def in_words(seconds: float) -> str:
    """A duration as `2 h 05 min`, `7 min` or `40 s`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def _pace(run: Run, finished: Sequence[Outcome]) -> float | None:
    """Mean seconds per iteration of the finished runs with a comparable amount of computation."""
    alike = [
        one.seconds_per_iteration
        for one in finished
        if one.seconds_per_iteration is not None
        and all(
            one.settings[name] == getattr(run.settings, name)
            for name in ("recipe", "backbone", "image_size", "precision")
        )
    ]
    return mean(alike) if alike else None
