"""Recall at k on cases that are small enough to count by hand."""

import numpy as np
import pytest
import torch

from daco_training.evaluation.recall import (
    BLOCK,
    Rows,
    aligned,
    domain_recalls,
    mean_first,
    query_counts,
    recall_at,
)


def test_a_query_counts_as_found_from_the_rank_of_its_first_right_answer() -> None:
    similarities = torch.tensor([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    correct = torch.tensor([[True, False, False], [False, False, True]])
    assert recall_at(similarities, correct, (1, 2, 3)) == {1: 0.5, 2: 0.5, 3: 1.0}


def test_any_of_several_right_answers_is_enough() -> None:
    assert recall_at(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([[True, False, True]]), (1, 2)) == {1: 0.0, 2: 1.0}


def test_ranks_beyond_the_number_of_references_use_all_references() -> None:
    assert recall_at(torch.tensor([[0.1, 0.9]]), torch.tensor([[True, False]]), (1, 8)) == {1: 0.0, 8: 1.0}


def test_a_photograph_is_not_its_own_answer_among_both_domains() -> None:
    # within a domain the two places look alike, across domains they do not: only a<->b suffers
    a = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0, 0.2], [1.0, 0.0, -0.2]]), dim=-1)
    b = torch.nn.functional.normalize(torch.tensor([[0.0, 1.0, 0.2], [0.0, 1.0, -0.2]]), dim=-1)
    recalls = domain_recalls(torch.cat([a, b]), aligned(2), first=2, ranks=(1, 3))
    assert recalls["a->b"][1] == recalls["b->a"][1] == 1.0
    assert recalls["a<->b"] == {1: 0.0, 3: 1.0}
    assert mean_first(recalls, (1, 3)) == pytest.approx(2 / 3)


def test_queries_without_a_right_reference_are_not_counted() -> None:
    similarities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    correct = torch.tensor([[True, False], [False, False], [True, False]])
    assert recall_at(similarities, correct, (1, 2)) == {1: 0.5, 2: 1.0}
    assert recall_at(similarities, torch.zeros(3, 2, dtype=torch.bool), (1,)) == {1: 0.0}


def test_comparison_block_by_block_gives_the_same_recalls() -> None:
    pairs = 2 * BLOCK + 37
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(pairs, 8, generator=generator)
    vectors = torch.nn.functional.normalize(torch.cat([a, a + 0.8 * torch.randn(pairs, 8, generator=generator)]), dim=1)
    asked_at_once: list[int] = []
    partners = aligned(pairs)

    def watched(asking: Rows, asked: Rows) -> np.ndarray:
        asked_at_once.append(len(asking))
        return np.asarray(partners(asking, asked))

    recalls = domain_recalls(vectors, watched, first=pairs, ranks=(1, 4))
    assert max(asked_at_once) == BLOCK
    rows = torch.arange(2 * pairs)
    correct = rows[:, None] == rows.roll(pairs)[None]
    whole = (vectors @ vectors.T).fill_diagonal_(float("-inf"))
    assert recalls["a->b"] == recall_at(whole[:pairs, pairs:], correct[:pairs, pairs:], (1, 4))
    assert recalls["b->a"] == recall_at(whole[pairs:, :pairs], correct[pairs:, :pairs], (1, 4))
    assert recalls["a<->b"] == recall_at(whole, correct, (1, 4))
    assert query_counts(watched, pairs, 2 * pairs) == {"a->b": pairs, "b->a": pairs, "a<->b": 2 * pairs}
