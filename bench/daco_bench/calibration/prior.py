"""A prior calibration for any map: fitted on several sets of photographs together, evaluated on a held-out set.

Votes count cells that agree, which means about the same on any map. So how they distinguish right answers from wrong
ones can be learnt on some sets and applied to others. The quality is measured by leaving one set out at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from daco_bench.calibration.asked_queries import ask, embed_queries
from daco_bench.calibration.fitting import Origin, Outcomes, fit
from daco_bench.calibration.name_rule import names_rule
from daco_bench.indexed_queries import IndexedQueries
from daco_core.errors import UsageError
from daco_core.photographs.locations import PLACE_METRES
from daco_index.references.find import Split
from daco_serve.engine.calibration import EVIDENCE, VOTE_EVIDENCE, Calibration
from daco_serve.engine.localize import LEAST_ON_MAP
from daco_serve.engine.references.likeness import similarity_elsewhere

OF_ANY_MAP = ("similarity", "votes", "agreement", "prominence")  # evidence that does not depend on a map's density
ELSEWHERE = 0.8  # share of queries from elsewhere; high, because false alarms are the worst error without a calibration
PRESENT_LOCATED = 0.9  # share of the map's queries that are located at the threshold for counting false alarms
STEPS = 21  # quantiles of the errors


@dataclass(frozen=True)
class Pair:
    """A map and its queries, which belong to a set; for `frames` see `calibrate`."""

    set_name: str
    index: Path
    queries: str
    frames: int | None = None

    @classmethod
    def parse(cls, text: str) -> "Pair":
        """Parses NAME=INDEX,QUERIES or NAME=INDEX,QUERIES,FRAMES.

        Raises:
            UsageError: it has another form.
        """
        name, equals, rest = text.partition("=")
        parts = rest.split(",")
        if not name or not equals or len(parts) not in (2, 3) or not all(parts):
            raise UsageError(f"{text} is not NAME=INDEX,QUERIES or NAME=INDEX,QUERIES,FRAMES.")
        if len(parts) == 3 and not parts[2].isdecimal():
            raise UsageError(f"{text}: {parts[2]} is not a number of frames.")
        return cls(name, Path(parts[0]), parts[1], int(parts[2]) if len(parts) == 3 else None)


@dataclass(frozen=True)
class SetReport:
    """The quality on one set of a prior that was fitted on the other sets.

    Args:
        queries: number of queries with their place on the map, and of queries without it.
        plain_auc, auc: area under the curve of "on the map", by evidence without votes and with them.
        right_auc: of "right within 25 m", with votes.
        brier: mean squared difference between the probability of "right within 25 m" and the outcome, with the shares
            of queries that the prior expects.
        located_present, located_absent: share that is located, of queries whose place is on the map and of the others.
        false_alarms: share of the others that is located at the threshold that locates PRESENT_LOCATED of the first.
    """

    name: str
    queries: tuple[int, int]
    plain_auc: float
    auc: float
    right_auc: float
    brier: float
    located_present: float
    located_absent: float
    false_alarms: float


def measure_prior(
    pairs: Sequence[Pair],
    data_root: Path = Path("data"),
    split: Split = "all",
    device: str = "auto",
    progress: bool = True,
) -> tuple[Calibration, list[SetReport]]:
    """The prior fitted on all sets, and for each set the quality of a prior that was fitted on the other sets.

    Every set has the same weight, however many queries it has.

    Raises:
        DacoError: fewer than two sets, indexes of different encoders, or one without local descriptors.
    """
    names = list(dict.fromkeys(pair.set_name for pair in pairs))
    if len(names) < 2:
        raise UsageError("Name two sets or more: a prior is evaluated on a set that it was not fitted on.")
    fingerprints: set[str] = set()
    asked: list[tuple[str, Outcomes, float | None]] = []
    for pair in pairs:
        bundle, engine, truths = IndexedQueries(pair.index, pair.queries, data_root, split, device).open()
        if bundle.local is None:
            raise UsageError(f"{pair.index} has no local descriptors: build it without --no-local.")
        fingerprints.add(bundle.manifest.encoder_fingerprint)
        rule = names_rule(bundle, truths, pair.frames)
        embedded = embed_queries(engine, truths, progress)
        outcomes = ask(bundle, embedded, rule, ELSEWHERE).outcomes
        asked.append((pair.set_name, outcomes, similarity_elsewhere(bundle)))
    if len(fingerprints) > 1:
        raise UsageError("The indexes are of different encoders, so their similarities mean different things.")
    known = [similarity for _, _, similarity in asked if similarity is not None]
    usual = float(np.mean(known)) if known else None
    parts: dict[str, list[Outcomes]] = {name: [] for name in names}
    for name, outcomes, similarity in asked:
        parts[name].append(_relative(outcomes, similarity, usual))
    sets = {name: _even(_joined(some)) for name, some in parts.items()}
    for name, outcomes in sets.items():
        if outcomes.on_map.all() or not outcomes.on_map.any():
            raise UsageError(f"Of the set {name}, no photograph shows a place of its map, or none could be elsewhere.")
    fingerprint = fingerprints.pop()
    reports = [_judge(name, sets, fingerprint) for name in names]
    prior = _fit(list(sets.values()), fingerprint, ", ".join(names))
    return prior.model_copy(update={"map_similarity": usual}), reports


def area_under_curve(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """The share of (true, false) pairs in which the true one has the higher score; ties count half."""
    values, places = np.unique(scores, return_inverse=True)
    true = np.bincount(places, truth, minlength=len(values))
    false = np.bincount(places, ~truth, minlength=len(values))
    below = np.cumsum(false) - false
    return float((true * (below + false / 2)).sum() / max(truth.sum() * (~truth).sum(), 1))


def _fit(sets: Sequence[Outcomes], fingerprint: str, names: str, votes: bool = True) -> Calibration:
    """A calibration by the evidence in OF_ANY_MAP; the other weights are 0, and radii are wide.

    The sets do not show how far off right answers are: their positions are exact to the metre, or unknown. So an answer
    that is right within 25 m is assumed to be anywhere within these 25 m, and a wrong one anywhere on the map.
    """
    outcomes = _joined(sets)
    used = np.array([name in OF_ANY_MAP and (votes or name in EVIDENCE) for name in (*EVIDENCE, *VOTE_EVIDENCE)])
    masked = replace(outcomes, evidence=np.where(used, outcomes.evidence, 0.0))
    fitted = fit(masked, None, Origin(fingerprint, 1, names, ELSEWHERE))
    return fitted.model_copy(
        update={
            "deviation": np.where(used, fitted.deviation, 1.0).tolist(),
            "right_errors": np.linspace(0, PLACE_METRES, STEPS).tolist(),
            "wrong_errors": np.linspace(0, 1, STEPS).tolist(),
        }
    )


def _judge(name: str, sets: dict[str, Outcomes], fingerprint: str) -> SetReport:
    others = [outcomes for other, outcomes in sets.items() if other != name]
    prior, plain = _fit(others, fingerprint, ""), _fit(others, fingerprint, "", votes=False)
    unseen = sets[name]
    present = unseen.on_map
    chances = _chances(prior, unseen)
    right = np.array([prior.right(row) for row in unseen.evidence.tolist()])
    threshold = np.quantile(chances[present], 1 - PRESENT_LOCATED)
    return SetReport(
        name,
        (int(present.sum()), int((~present).sum())),
        plain_auc=round(area_under_curve(_chances(plain, unseen), present), 4),
        auc=round(area_under_curve(chances, present), 4),
        right_auc=round(area_under_curve(right, unseen.right), 4),
        brier=round(float((unseen.weight * (right - unseen.right) ** 2).sum() / unseen.weight.sum()), 4),
        located_present=round(float((chances[present] >= LEAST_ON_MAP).mean()), 4),
        located_absent=round(float((chances[~present] >= LEAST_ON_MAP).mean()), 4),
        false_alarms=round(float((chances[~present] >= threshold).mean()), 4),
    )


def _chances(calibration: Calibration, outcomes: Outcomes) -> NDArray[np.float64]:
    return np.array([calibration.on_map(row) for row in outcomes.evidence.tolist()])


def _relative(outcomes: Outcomes, similarity: float | None, usual: float | None) -> Outcomes:
    """The outcomes with similarities shifted as if the references of other places resembled each other as usual."""
    if similarity is None or usual is None:
        return outcomes
    evidence = outcomes.evidence.copy()
    evidence[:, EVIDENCE.index("similarity")] += usual - similarity
    return replace(outcomes, evidence=evidence)


def _even(outcomes: Outcomes) -> Outcomes:
    """Weights that sum to 1."""
    return replace(outcomes, weight=outcomes.weight / outcomes.weight.sum())


def _joined(parts: Sequence[Outcomes]) -> Outcomes:
    return Outcomes(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("evidence", "right", "on_map", "error", "weight", "query")
        )
    )
