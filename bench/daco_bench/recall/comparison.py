"""A comparison of several encoders on the same queries: their recalls, and which differences are significant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from daco_bench.recall.retrieval import Retrieval, mean_recall
from daco_bench.recall.statistics import Difference, difference, holm
from daco_bench.recall.table import RecallRow, recall_rows


@dataclass(frozen=True)
class Paired:
    """A paired test of two methods on the same queries.

    Args:
        adjusted: the p-value, adjusted for the number of tests (Holm).
    """

    method: str
    than: str
    direction: str
    rank: int
    difference: Difference
    adjusted: float


@dataclass(frozen=True)
class Comparison:
    """Recall rows of all methods, each followed by its published row, and the paired tests."""

    rows: list[RecallRow]
    tests: list[Paired]


def compare_answers(
    answers: Sequence[Retrieval], ranks: Sequence[int], published: Sequence[RecallRow] = (), best: str | None = None
) -> Comparison:
    """The rows of the answers, and tests at the first rank.

    Tests of `best` against each other method, without re-ranking; and of each re-ranked method against its own answers
    without re-ranking.

    Args:
        best: the method to test against the others; None for the one with the highest mean recall.
    """
    by_method = _by_method(answers)
    rows: list[RecallRow] = []
    for method, own in by_method.items():
        rows += recall_rows(own, ranks)
        rows += [row for row in published if row.method == f"{method} (published)"]
    rows += [row for row in published if row not in rows]
    first = min(ranks)
    first_stages = {method: own[0].first_stage for method, own in by_method.items()}
    alone = [method for method, first_stage in first_stages.items() if first_stage is None]
    best = best or max(alone, key=lambda method: mean_recall(by_method[method], first))
    pairs = [(best, method) for method in alone if method != best]
    pairs += [(method, than) for method, than in first_stages.items() if than is not None]
    return Comparison(rows, paired_tests(by_method, pairs, first))


def paired_tests(
    answers: Mapping[str, Sequence[Retrieval]], pairs: Sequence[tuple[str, str]], rank: int
) -> list[Paired]:
    """Paired tests in each direction, with p-values adjusted for all of them together.

    Args:
        answers: of each method in each direction, to the same queries.
        pairs: the method, and the one that it is tested against.
    """
    found = [
        (method, than, one.direction, difference(one.hits(rank), other.hits(rank), one.groups[one.answerable]))
        for method, than in pairs
        for one, other in zip(answers[method], answers[than], strict=True)
        if one.count
    ]
    adjusted = holm([result.p for *_, result in found])
    return [
        Paired(method, than, direction, rank, result, p)
        for (method, than, direction, result), p in zip(found, adjusted, strict=True)
    ]


def tests_to_json(tests: Sequence[Paired]) -> list[dict[str, Any]]:
    """The tests as plain values: percentage points, and p-values."""
    return [
        {
            "method": test.method,
            "than": test.than,
            "direction": test.direction,
            "rank": test.rank,
            "points": round(test.difference.points, 2),
            "interval": [round(test.difference.low, 2), round(test.difference.high, 2)],
            "p": round(test.difference.p, 4),
            "p_adjusted": round(test.adjusted, 4),
        }
        for test in tests
    ]


TEST_HEADER = ("paired test", "direction", "points (95 % interval)", "p", "p adjusted (Holm)")


def test_cells(test: Paired) -> list[str]:
    """A test as text, in the order of `TEST_HEADER`."""
    found = test.difference
    return [
        f"{test.method} against {test.than}, R@{test.rank}",
        test.direction,
        f"{found.points:+.1f} ({found.low:+.1f} to {found.high:+.1f})",
        f"{found.p:.4f}",
        f"{test.adjusted:.4f}",
    ]


def _by_method(answers: Sequence[Retrieval]) -> dict[str, list[Retrieval]]:
    by_method: dict[str, list[Retrieval]] = {}
    for one in answers:
        by_method.setdefault(one.method, []).append(one)
    return by_method
