"""Recall at k on cases small enough to count by hand."""

import pytest
import torch

from daco_training.evaluation.recall import aligned, domain_recalls, mean_first, recall_at


def test_a_query_counts_from_the_rank_of_its_first_right_answer() -> None:
    similarities = torch.tensor([[0.9, 0.5, 0.1], [0.9, 0.5, 0.1]])
    correct = torch.tensor([[True, False, False], [False, False, True]])
    assert recall_at(similarities, correct, (1, 2, 3)) == {1: 0.5, 2: 0.5, 3: 1.0}


def test_any_of_several_right_answers_is_enough() -> None:
    assert recall_at(torch.tensor([[0.1, 0.9, 0.5]]), torch.tensor([[True, False, True]]), (1, 2)) == {1: 0.0, 2: 1.0}


def test_ranks_beyond_the_references_count_all_of_them() -> None:
    assert recall_at(torch.tensor([[0.1, 0.9]]), torch.tensor([[True, False]]), (1, 8)) == {1: 0.0, 8: 1.0}


def test_in_both_domains_at_once_a_photograph_is_not_its_own_answer() -> None:
    # within a domain the two places look alike, across domains they do not: only a<->b suffers
    a = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0, 0.2], [1.0, 0.0, -0.2]]), dim=-1)
    b = torch.nn.functional.normalize(torch.tensor([[0.0, 1.0, 0.2], [0.0, 1.0, -0.2]]), dim=-1)
    recalls = domain_recalls(torch.cat([a, b]), aligned(2), first=2, ranks=(1, 3))
    assert recalls["a->b"][1] == recalls["b->a"][1] == 1.0
    assert recalls["a<->b"] == {1: 0.0, 3: 1.0}
    assert mean_first(recalls, (1, 3)) == pytest.approx(2 / 3)


def test_queries_that_no_reference_answers_are_not_counted() -> None:
    similarities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.1, 0.9]])
    correct = torch.tensor([[True, False], [False, False], [True, False]])
    assert recall_at(similarities, correct, (1, 2)) == {1: 0.5, 2: 1.0}
    assert recall_at(similarities, torch.zeros(3, 2, dtype=torch.bool), (1,)) == {1: 0.0}
