"""Local descriptors in an index: stored, kept in every change, hashed, and used for re-ranking."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from daco_core.errors import DamagedIndex
from daco_core.photographs.images import open_rgb
from daco_index.build import BuildOptions, BuildReport, build_index
from daco_index.embedding.embed import EmbeddedSoFar
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.options import EmbeddingOptions
from daco_index.generations.change import add_photographs, remove_photographs, update_index
from daco_index.generations.merge import merge_indexes
from daco_index.generations.rollback import roll_back
from daco_index.generations.verify import verify_index
from daco_index.search.bundle import Bundle

from ..local_parts import draw_streets, save_grid_encoder

QUIET = EmbeddingOptions(progress=False, device="cpu")


@pytest.fixture(scope="session")
def grid_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_grid_encoder(tmp_path_factory.mktemp("encoder") / "grid")


@pytest.fixture(scope="session")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_streets(tmp_path_factory.mktemp("streets"))


@pytest.fixture(scope="session")
def made(grid_encoder: Path, streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with local descriptors: to be read, not changed."""
    index = tmp_path_factory.mktemp("with_local") / "index"
    build_index(str(streets), str(grid_encoder), index, BuildOptions(progress=False))
    return index


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "index"))


def rows_of(index: Path) -> dict[str, bytes]:
    """The file name of each photograph to its local descriptors."""
    bundle = Bundle.open(index)
    assert bundle.local is not None
    return {Path(entry.path).name: bundle.local.rows(np.array([entry.id])).tobytes() for entry in bundle.catalog.all()}


def whole(index: Path) -> bool:
    return all(not one.problems for one in verify_index(index))


def build(streets: Path, encoder: Path, index: Path, **options: Any) -> BuildReport:
    return build_index(str(streets), str(encoder), index, BuildOptions(progress=False, device="cpu", **options))


def test_a_build_stores_the_requested_local_descriptors_and_computes_only_missing_ones(streets, grid_encoder, tmp_path):
    index = tmp_path / "index"
    assert build(streets, grid_encoder, index, local="none").embedded == 8
    assert Bundle.open(index).local is None
    assert build(streets, grid_encoder, index).embedded == 8  # whose vectors are known, but not their cells
    rows = rows_of(index)
    assert {len(row) for row in rows.values()} == {64 * 16}
    assert build(streets, grid_encoder, index).embedded == 0
    assert rows_of(index) == rows
    assert build(streets, grid_encoder, index, local="half").embedded == 8
    assert {len(row) for row in rows_of(index).values()} == {32 + 32 * 16}
    assert build(streets, grid_encoder, index, local="none").embedded == 0
    assert Bundle.open(index).local is None and whole(index)


def test_added_photographs_get_local_descriptors_if_the_index_has_them(index, streets, grid_encoder, tmp_path):
    before = rows_of(index)
    report = add_photographs(index, str(draw_streets(tmp_path / "more", 10)), options=QUIET)
    assert report.embedded == 2  # the other eight are copies
    after = rows_of(index)
    assert len(Bundle.open(index).catalog.all()) == 18
    assert {name: after[name] for name in before} == before and len(set(after.values())) == 10
    own, other = Path(shutil.copytree(streets, tmp_path / "own")), tmp_path / "other"
    build(own, grid_encoder, other)
    shutil.copyfile(tmp_path / "more" / "009.png", own / "000.png")
    assert update_index(other, QUIET).embedded == 1
    assert rows_of(other)["000.png"] == after["009.png"] and whole(other)


def test_an_index_without_local_descriptors_gets_none_with_added_photographs(streets, grid_encoder, tmp_path):
    build(streets, grid_encoder, tmp_path / "index", local="none")
    add_photographs(tmp_path / "index", str(draw_streets(tmp_path / "more", 10)), options=QUIET)
    assert Bundle.open(tmp_path / "index").local is None and whole(tmp_path / "index")


def test_a_resumed_build_keeps_the_local_descriptors_that_were_computed(streets, grid_encoder, tmp_path, monkeypatch):
    index = tmp_path / "index"
    take = EmbeddedSoFar.take

    def stop(self, *arguments, **keywords):
        take(self, *arguments, **keywords)
        raise KeyboardInterrupt

    monkeypatch.setattr(EmbeddedSoFar, "take", stop)
    with pytest.raises(KeyboardInterrupt):
        build(streets, grid_encoder, index, batch_size=2)
    monkeypatch.undo()
    assert build(streets, grid_encoder, index, batch_size=2).embedded == 6
    build(streets, grid_encoder, tmp_path / "whole", batch_size=2)
    assert rows_of(index) == rows_of(tmp_path / "whole")


def test_an_encoder_without_local_descriptors_builds_an_index_without_them(encoder_folder, streets, tmp_path):
    build(streets, encoder_folder, tmp_path / "index")
    assert Bundle.open(tmp_path / "index").local is None


def test_info_prints_the_size_of_local_descriptors(index, daco_index):
    said = daco_index("info", index).stdout
    assert "by local descriptors, 0.0 MB, 1.0 KB a photograph" in said


def test_removals_and_rollbacks_keep_local_descriptors(index):
    before = rows_of(index)
    assert len(set(before.values())) == 8
    remove_photographs(index, ids=[0, 5])
    after = rows_of(index)
    assert after == {name: row for name, row in before.items() if name not in ("000.png", "005.png")}
    roll_back(index)
    assert rows_of(index) == before
    assert whole(index)


def test_a_merge_has_local_descriptors_only_if_all_indexes_have_them(index, made, grid_encoder, streets, tmp_path):
    other = tmp_path / "other"
    photograph = Path(shutil.copy(streets / "003.png", tmp_path / "copy.png"))
    folder = tmp_path / "more"
    folder.mkdir()
    photograph.rename(folder / "copy.png")
    build_index(str(folder), str(grid_encoder), other, BuildOptions(progress=False))
    merge_indexes([made, other], tmp_path / "both")
    merged = rows_of(tmp_path / "both")
    assert len(merged) == 9 and merged["copy.png"] == merged["003.png"]
    without = tmp_path / "without"
    build_index(str(folder), str(grid_encoder), without, BuildOptions(progress=False, local="none"))
    merge_indexes([made, without], tmp_path / "mixed")
    assert Bundle.open(tmp_path / "mixed").local is None
    assert whole(tmp_path / "both") and whole(tmp_path / "mixed")


@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damaged_local_descriptors_are_detected_by_name(index, damage):
    file = next((index / "generations").glob("*/local.bin"))
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DamagedIndex, match=r"local\.bin"):
        Bundle.open(index)
    assert any("local.bin" in problem for one in verify_index(index) for problem in one.problems)


def test_the_first_candidates_are_ranked_by_their_score_and_the_others_follow(made, streets):
    bundle = Bundle.open(made)
    engine = create_engine(bundle.encoder, "cpu")
    image = engine.prepare(open_rgb(streets / "004.png"))
    embedding = engine.embed_prepared_with_local([image])
    plain = bundle.search(embedding.descriptors, 8)[0]
    assert [match.votes for match in plain] == [None] * 8
    assert bundle.search(embedding.descriptors, 8, local=embedding.local)[0] == plain  # rerank=0
    some = bundle.search(embedding.descriptors, 8, local=embedding.local, rerank=4)[0]
    assert some[0].entry.path.endswith("004.png") and some[0].votes == pytest.approx(64, rel=0.05)
    assert [match.rank for match in some] == list(range(1, 9))
    assert {match.entry.id for match in some[:4]} == {match.entry.id for match in plain[:4]}
    assert [match.score for match in some[:4]] == sorted((match.score for match in some[:4]), reverse=True)
    assert [match.entry.id for match in some[4:]] == [match.entry.id for match in plain[4:]]
    assert [match.votes is None for match in some] == [False] * 4 + [True] * 4
    assert all(match.share is not None and 0 < match.share <= 1 for match in some[:4])


def test_more_candidates_are_re_ranked_than_matches_are_requested(made, streets):
    """What is ranked fifth by the global descriptor may be the only match that is shown."""
    bundle = Bundle.open(made)
    engine = create_engine(bundle.encoder, "cpu")
    embedding = engine.embed_prepared_with_local([engine.prepare(open_rgb(streets / "004.png"))])
    other = bundle.store.vectors(np.array([1]))  # the global descriptor says 001.png, the cells say 004.png
    assert bundle.search(other, 1, local=embedding.local, rerank=0)[0][0].entry.path.endswith("001.png")
    found = bundle.search(other, 1, local=embedding.local, rerank=8)[0]
    assert len(found) == 1 and found[0].entry.path.endswith("004.png")
    among = bundle.search(other, 1, [1, 2], embedding.local, 8)[0]
    assert among[0].entry.id in (1, 2)
