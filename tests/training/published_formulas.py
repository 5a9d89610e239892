"""The published losses, memories and recalls in plain NumPy with explicit loops, and their values on small inputs.

It shares no code with the project. `python -m tests.training.published_formulas` writes `published_values.json`, which
the tests compare the project's own with; another test compares these formulas with what the published code gave.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

VALUES = Path(__file__).with_name("published_values.json")
Rows = NDArray[np.float64]
RANKS = (1, 2, 4, 8)


def rows(count: int, length: int, start: float) -> Rows:
    """Rows of length 1, the same on every machine: sines of numbers far apart."""
    numbers = np.arange(count * length, dtype=np.float64).reshape(count, length)
    return unit(np.sin(12.9898 * numbers + 78.233 * start + 0.1 * numbers**2))


def unit(values: Rows) -> Rows:
    return values / np.sqrt((values**2).sum(axis=1, keepdims=True))


def nt_xent(first: Rows, second: Rows, temperature: float) -> float:
    """Chen et al. 2020, eq. 1: mean over the 2n views of -log(exp(s_ij / t) / sum over k != i of exp(s_ik / t))."""
    views = [*first, *second]
    terms = []
    for i, view in enumerate(views):
        positive = view @ views[(i + len(first)) % len(views)]
        others = sum(np.exp(view @ other / temperature) for k, other in enumerate(views) if k != i)
        terms.append(np.log(others) - positive / temperature)
    return float(np.mean(terms))


def daco(o1: Rows, o2: Rows, g1: Rows, g2: Rows, temperature: float, lamda: float) -> float:
    """DaCo 2023: S(o1, o2) + S(g1, g2) + lamda (S(o1, g1) + S(o1, g2))."""
    within = nt_xent(o1, o2, temperature) + nt_xent(g1, g2, temperature)
    return within + lamda * (nt_xent(o1, g1, temperature) + nt_xent(o1, g2, temperature))


def moco(queries: Rows, keys: Rows, queue: Rows, temperature: float) -> float:
    """He et al. 2020, eq. 1: mean over the queries of -log(exp(q k+ / t) / sum of exp(q k / t) over k+ and queue)."""
    terms = []
    for query, key in zip(queries, keys, strict=True):
        others = np.exp(query @ key / temperature) + sum(np.exp(query @ old / temperature) for old in queue)
        terms.append(np.log(others) - query @ key / temperature)
    return float(np.mean(terms))


def enqueue(queue: Rows, keys: Rows) -> Rows:
    """The oldest keys leave at the front, the new ones come last."""
    return np.concatenate([queue, keys])[len(keys) :]


def npid(
    bank: Rows, projections: Rows, index: Sequence[int], draw: NDArray[np.int64], temperature: float, normaliser: float
) -> tuple[float, float]:
    """Wu et al. 2018, eq. 4 to 8, and the normaliser Z, which the first batch estimates (0 before).

    h(i) = P(i) / (P(i) + m / n), with P(i) = exp(v_i f / t) / Z, for m negatives drawn of n images with equal
    probability; the loss is the mean over the batch of -log h(positive) - sum of log(1 - h(negative)).
    """
    images, negatives = len(bank), draw.shape[1] - 1
    likelihoods = [
        [np.exp(bank[row] @ projection / temperature) for row in (own, *drawn[1:])]
        for projection, own, drawn in zip(projections, index, draw, strict=True)
    ]
    normaliser = normaliser or float(np.mean(likelihoods)) * images
    total = 0.0
    for own, *others in likelihoods:
        noise = negatives / images
        total -= np.log(own / normaliser / (own / normaliser + noise))
        total -= sum(np.log(1 - other / normaliser / (other / normaliser + noise)) for other in others)
    return total / len(index), normaliser


def remember(bank: Rows, projections: Rows, index: Sequence[int], momentum: float) -> Rows:
    """A bank row goes a share `momentum` of the way to its new projection, and is normalised."""
    after = bank.copy()
    for row, projection in zip(index, projections, strict=True):
        mixed = momentum * projection + (1 - momentum) * bank[row]
        after[row] = mixed / np.sqrt(mixed @ mixed)
    return after


def recalls(vectors: Rows, first: int) -> dict[str, list[float]]:
    """The published protocol: a to b, b to a, and each among all others; row i of a and row i of b show one place."""
    sides = {"a->b": (range(first), range(first, len(vectors))), "b->a": (range(first, len(vectors)), range(first))}
    sides["a<->b"] = (range(len(vectors)), range(len(vectors)))
    found = {}
    for direction, (queries, references) in sides.items():
        places = []
        for query in queries:
            others = [reference for reference in references if reference != query]
            others.sort(key=lambda reference, query=query: -float(vectors[query] @ vectors[reference]))
            places.append(others.index((query + first) % len(vectors)))
        found[direction] = [float(np.mean([place < k for place in places])) for k in RANKS]
    return found


def inputs() -> dict[str, Any]:
    """What the losses are computed of: projections of six images of length 8, a queue, a bank, and twenty pairs."""
    views = {name: rows(6, 8, start) for start, name in enumerate(("o1", "o2", "g1", "g2"), start=1)}
    twins = rows(20, 12, 7.0)
    return views | {
        "queue": rows(15, 8, 5.0),
        "bank": rows(10, 8, 6.0),
        "index": [3, 1, 4, 9, 2, 6],
        "draw": np.arange(6 * 8).reshape(6, 8) * 7 % 10,
        "pairs": np.concatenate([twins, unit(twins + 0.9 * rows(20, 12, 8.0))]),
    }


def values() -> dict[str, Any]:
    """Every value that the tests compare with."""
    given = inputs()
    o1, o2, g1, g2 = (given[name] for name in ("o1", "o2", "g1", "g2"))
    found: dict[str, Any] = {}
    for temperature in (0.1, 0.5):
        found[f"simclr_t{temperature}"] = nt_xent(o1, o2, temperature)
        for lamda in (0.3, 0.8):
            found[f"daco_t{temperature}_l{lamda}"] = daco(o1, o2, g1, g2, temperature, lamda)
    found["moco_t0.1"] = moco(o1, o2, given["queue"], 0.1)
    first, normaliser = npid(given["bank"], o1, given["index"], given["draw"], 0.1, 0.0)
    after = remember(given["bank"], o1, given["index"], 0.5)
    second, _ = npid(after, o2, given["index"], given["draw"], 0.1, normaliser)
    found |= {"npid_first": first, "npid_normaliser": normaliser, "npid_second": second}
    found["npid_bank_after"] = np.round(after, 7).tolist()
    found["recalls"] = recalls(given["pairs"], 20)
    return found


if __name__ == "__main__":
    VALUES.write_text(json.dumps(values(), indent=1) + "\n")
