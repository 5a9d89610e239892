"""Distinguishes the index that owns vectors on a server from a copy of its folder."""

import os
import shutil
from pathlib import Path

import pytest

from daco_index.generations.ownership import OWNER_FILE, owner_of


@pytest.fixture
def index(tmp_path: Path) -> Path:
    (tmp_path / "index").mkdir()
    return tmp_path / "index"


def test_an_index_keeps_its_id_when_it_is_renamed_or_opened_through_a_link(index: Path, tmp_path: Path) -> None:
    name = owner_of(index)
    assert owner_of(index) == name
    moved = index.rename(tmp_path / "moved")
    assert owner_of(moved) == name
    (tmp_path / "link").symlink_to(moved)
    assert owner_of(tmp_path / "link") == name


def test_a_copy_gets_its_own_id(index: Path, tmp_path: Path) -> None:
    name = owner_of(index)
    copy = Path(shutil.copytree(index, tmp_path / "copy"))
    assert owner_of(copy) not in ("", name)
    assert owner_of(index) == name


def test_a_copy_made_of_hard_links_gets_its_own_id_and_the_original_keeps_its_id(index: Path, tmp_path: Path) -> None:
    name = owner_of(index)
    copy = tmp_path / "copy"
    shutil.copytree(index, copy, copy_function=os.link)
    assert (copy / OWNER_FILE).samefile(index / OWNER_FILE)
    assert owner_of(copy) != name
    assert owner_of(index) == name
