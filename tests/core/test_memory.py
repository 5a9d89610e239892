"""The memory limit of a container is used instead of the machine's memory."""

import os

import pytest
import torch

from daco_core import memory
from daco_index.search.index_choice import SearchOptions, choose
from daco_training.loop.memory import total_memory

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.mark.parametrize(("text", "expected"), [("1048576\n", 2**20), ("max\n", MACHINE), (None, MACHINE)])
def test_a_container_limit_applies_to_training_and_to_the_choice_of_an_index(tmp_path, monkeypatch, text, expected):
    limit = tmp_path / "memory.max"
    if text is not None:
        limit.write_text(text)
    monkeypatch.setattr(memory, "CONTROL_GROUP_LIMIT", limit)
    assert memory.machine_memory() == expected
    assert total_memory(torch.device("cpu")) == expected
    small = choose(5000, 128, SearchOptions()).factory != "Flat"
    assert small == (expected == 2**20), "half of the memory is what an index may take"
