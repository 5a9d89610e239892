"""Local descriptors in an index: kept, carried through every change, hashed, and used to rank again."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError
from daco_core.photographs.images import open_rgb
from daco_index.build import BuildOptions, build_index, publish
from daco_index.embedding.engines.create import create_engine
from daco_index.generations.change import remove_photographs
from daco_index.generations.descriptors import Descriptors, LocalRows
from daco_index.generations.folders import Writer
from daco_index.generations.merge import merge_indexes
from daco_index.generations.rollback import roll_back
from daco_index.generations.specification import GenerationSpec, Provenance, Target
from daco_index.generations.verify import verify_index
from daco_index.reranking.local_file import LocalForm
from daco_index.reranking.voting import Grid
from daco_index.search.bundle import Bundle
from daco_training.encoder.encoder import Encoder


@pytest.fixture(scope="session")
def grid_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with local descriptors, 8 x 8 of them."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("encoder") / "grid"
    Encoder(EncoderConfig(backbone="test_resnet", pooling="grid", image_size=128, resize="square")).eval().save(folder)
    return folder


@pytest.fixture(scope="session")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures of coloured blocks."""
    folder = tmp_path_factory.mktemp("streets")
    for number in range(8):
        blocks = np.random.default_rng(number).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((128, 128), Image.Resampling.NEAREST).save(folder / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="session")
def made(grid_encoder: Path, streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with local descriptors: to be read, not changed."""
    index = tmp_path_factory.mktemp("with_local") / "index"
    build_index(str(streets), str(grid_encoder), index, BuildOptions(progress=False))
    keep_local(index)
    return index


@pytest.fixture
def index(made: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(made, tmp_path / "index"))


def keep_local(index: Path) -> None:
    """Publishes the live generation again, with local descriptors."""
    with Writer(index) as writer:
        live = Bundle.open(index)
        engine = create_engine(live.encoder, "cpu")
        entries = live.catalog.all()
        images = [engine.prepare(open_rgb(Path(entry.path))) for entry in entries]
        embedding = engine.embed_prepared_with_local(images)
        assert engine.local_grid is not None and embedding.local is not None
        form = LocalForm.of(Grid(*engine.local_grid), embedding.local.shape[-1])
        descriptors = Descriptors(engine.dimension)
        ids = [entry.id for entry in entries]
        descriptors.make(ids, embedding.descriptors, LocalRows(form, form.encode(embedding.local)))
        spec = GenerationSpec(Provenance("streets", "build", ()), live.encoder, entries, descriptors, next_id=0)
        publish(spec, Target(writer, live))


def rows_of(index: Path) -> dict[str, bytes]:
    """The file name of each photograph to its local descriptors."""
    bundle = Bundle.open(index)
    assert bundle.local is not None
    return {Path(entry.path).name: bundle.local.rows(np.array([entry.id])).tobytes() for entry in bundle.catalog.all()}


def whole(index: Path) -> bool:
    return all(not one.problems for one in verify_index(index))


def test_removing_and_rolling_back_carry_local_descriptors_along(index):
    before = rows_of(index)
    assert len(set(before.values())) == 8
    remove_photographs(index, ids=[0, 5])
    after = rows_of(index)
    assert after == {name: row for name, row in before.items() if name not in ("000.png", "005.png")}
    roll_back(index)
    assert rows_of(index) == before
    assert whole(index)


def test_a_merge_keeps_local_descriptors_that_all_have_and_none_otherwise(index, made, grid_encoder, streets, tmp_path):
    other = tmp_path / "other"
    photograph = Path(shutil.copy(streets / "003.png", tmp_path / "copy.png"))
    folder = tmp_path / "more"
    folder.mkdir()
    photograph.rename(folder / "copy.png")
    build_index(str(folder), str(grid_encoder), other, BuildOptions(progress=False))
    keep_local(other)
    merge_indexes([made, other], tmp_path / "both")
    merged = rows_of(tmp_path / "both")
    assert len(merged) == 9 and merged["copy.png"] == merged["003.png"]
    without = tmp_path / "without"
    build_index(str(folder), str(grid_encoder), without, BuildOptions(progress=False))
    merge_indexes([made, without], tmp_path / "mixed")
    assert Bundle.open(tmp_path / "mixed").local is None
    assert whole(tmp_path / "both") and whole(tmp_path / "mixed")


@pytest.mark.parametrize("damage", ["cut", "changed", "missing"])
def test_damaged_local_descriptors_are_found_with_their_name(index, damage):
    file = next((index / "generations").glob("*/local.bin"))
    content = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(content[:-1] if damage == "cut" else content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(DacoError, match=r"local\.bin"):
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


def test_of_a_few_matches_the_candidates_are_as_many_as_asked_for(made, streets):
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
