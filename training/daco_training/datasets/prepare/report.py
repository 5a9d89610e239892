"""The report of `prepare` and `adopt`: whether a download is complete, what is doubtful, and what was written."""

import sys
from pathlib import Path

from daco_core.errors import UsageError
from daco_core.photographs.layout import SPLITS
from daco_training.datasets.prepare.placing import PlacingResult, Plan, place

MOST_DOUBTS = 20


def carry_out(plan: Plan, folder: Path, link: bool, size: int | None, partial: bool) -> str:
    """Carries out a plan and returns a summary; doubts and missing files are printed on stderr.

    Raises:
        DacoError: the download is incomplete and `partial` is false; or see `place`.
    """
    for sentence in plan.missing:
        print(sentence, file=sys.stderr)
    if plan.missing and not partial:
        raise UsageError(
            "The download is incomplete (see above): unpack the rest, or use the existing files with --partial."
        )
    for doubt in plan.doubts[:MOST_DOUBTS]:
        print(f"Doubt: {doubt}", file=sys.stderr)
    if len(plan.doubts) > MOST_DOUBTS:
        print(f"... and {len(plan.doubts) - MOST_DOUBTS} more doubts.", file=sys.stderr)
    return _sum_up(plan, folder, place(plan, folder, link, size))


def _sum_up(plan: Plan, folder: Path, placed: PlacingResult) -> str:
    lines = [f"{folder}: {placed.made} photographs placed, {placed.kept} already existed."]
    for domain, name in plan.domain_names.items():
        counts = ", ".join(f"{plan.count(domain, split)} {split}" for split in SPLITS)
        lines.append(f"  {domain} ({name}): {counts}")
    located = sum(photograph.location is not None for photograph in plan.photographs)
    lines.append(f"  {located} of {len(plan.photographs)} have a position; {len(plan.doubts)} doubts.")
    where = "" if folder.parent == Path("data") else f" --data-root {folder.parent}"
    lines.append(f"To check it: daco-data check {folder.name}{where}; daco-data show {folder.name}{where}")
    return "\n".join(lines)
