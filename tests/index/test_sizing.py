"""The index type chosen for a number of descriptors, its stated reason, and how it is kept in changes."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from daco_core.errors import DacoError
from daco_index.build import BuildOptions, build_index
from daco_index.cli.main import app, found_sentence
from daco_index.generations.change import add_photographs, remove_photographs
from daco_index.generations.folders import read_current
from daco_index.generations.manifest import sha256_of
from daco_index.generations.merge import merge_indexes
from daco_index.generations.rollback import roll_back
from daco_index.generations.verify import verify_index
from daco_index.search import index_choice as sizing
from daco_index.search.arrangement import arrange
from daco_index.search.bundle import Bundle, read_manifest
from daco_index.search.index_choice import EXACT, Search, SearchOptions, choose, parse_size, size, still_fits
from daco_index.search.stores.faiss import FaissStore, check_factory
from daco_index.search.tuning import recall_of

GB = 2**30
PLENTY = SearchOptions(memory=16 * GB)


@pytest.mark.parametrize(
    ("count", "dimension", "options", "factory"),
    [
        (100, 256, PLENTY, EXACT),
        (2000, 2048, SearchOptions(memory=1), EXACT),  # too few to train anything on
        (65_000, 256, PLENTY, EXACT),
        (100_000, 256, PLENTY, "OPQ128_256,IVF512,PQ128x4fs"),
        (100_000, 256, replace(PLENTY, recall=1.0), EXACT),
        (1_000_000, 256, PLENTY, "OPQ128_256,IVF2048,PQ128x4fs"),
        (1_000_000, 256, replace(PLENTY, memory=60 * 2**20), "OPQ64_256,IVF2048,PQ64x4fs"),
        (1_000_000, 98, replace(PLENTY, memory=30 * 2**20), "OPQ24_96,IVF2048,PQ24x4fs"),
        (1_000_000, 2048, PLENTY, "OPQ128_256,IVF2048,PQ128x4fs"),
        (1_000_000, 1280, PLENTY, "OPQ128_256,IVF2048,PQ128x4fs"),
        (1_000_000, 98, PLENTY, "OPQ49_98,IVF2048,PQ49x4fs"),
        (80_000_000, 256, PLENTY, "OPQ128_256,IVF16384_HNSW32,PQ128x4fs"),
        (1_000_000, 256, SearchOptions(factory="HNSW32,SQ8"), "HNSW32,SQ8"),
    ],
)
def test_the_index_type_depends_on_count_dimension_and_memory(count, dimension, options, factory):
    choice = choose(count, dimension, options)
    assert choice.factory == factory
    assert choice.reason.endswith(".")
    if factory != EXACT:
        assert check_factory(factory, dimension).d == dimension
    if options.factory is None:
        assert str(count) in choice.reason


@pytest.mark.parametrize(
    ("count", "dimension", "factory"),
    [
        (1_000_000, 256, EXACT),
        (10_000_000, 256, "IVF8192,PQ64"),
        (10_000_000, 2048, "PCAR256,IVF8192,PQ64"),
        (100_000_000, 98, "PCAR96,IVF16384,PQ24"),
    ],
)
def test_a_gpu_gets_exact_search_for_more_vectors_and_codes_that_it_supports(count, dimension, factory):
    assert choose(count, dimension, SearchOptions(memory=64 * GB), gpu=True).factory == factory
    assert factory == EXACT or check_factory(factory, dimension).d == dimension


def test_too_little_memory_is_reported_with_the_memory_that_is_needed():
    assert "992 MiB of the allowed 100 MiB" in choose(1_000_000, 256, SearchOptions(memory=100 * 2**20)).reason
    assert "the least possible" in choose(1_000_000, 256, SearchOptions(memory=2**20)).reason


@pytest.mark.parametrize(
    ("text", "amount"), [("500MB", 500 * 2**20), ("2G", 2 * GB), ("1.5 GiB", 3 * GB // 2), ("10", 10), ("4kb", 4096)]
)
def test_the_usual_spellings_of_sizes_are_read(text, amount):
    assert parse_size(text) == amount
    assert parse_size(size(amount)) == pytest.approx(amount, rel=0.01)


@pytest.mark.parametrize("text", ["", "much", "0", "-1GB", "1XB", "GB"])
def test_an_invalid_size_is_rejected(text):
    with pytest.raises(DacoError, match="is not a size of memory"):
        parse_size(text)


def test_a_trained_index_is_kept_until_the_count_doubles_or_halves_or_the_options_change():
    before = Search("", PLENTY, trained_on=200_000)
    fits = [count for count in (90_000, 110_000, 390_000, 410_000) if still_fits(before, "IVF2048", count, 256, PLENTY)]
    assert fits == [110_000, 390_000]
    assert not still_fits(before, "IVF2048", 200_000, 256, replace(PLENTY, recall=0.9))
    assert not still_fits(Search("", PLENTY), EXACT, 200_000, 256, PLENTY)


@pytest.fixture
def few_are_many(monkeypatch):
    """Lets thousands of short descriptors count as many, so that the choice is made in a second."""
    monkeypatch.setattr(sizing, "EXACT_NUMBERS", 2**14)
    monkeypatch.setattr(sizing, "FEWEST", 2000)


def clustered(count: int, dimension: int = 16, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    drawn = random.normal(size=(100, dimension))[random.integers(0, 100, count)]
    drawn = (drawn + 0.5 * random.normal(size=drawn.shape)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_the_requested_recall_is_reached_on_other_queries(few_are_many):
    every = clustered(3300)
    store = FaissStore.create(16)
    store.add(every[:3000], np.arange(3000))
    factory, search = arrange(store, SearchOptions(recall=0.95), progress=False)
    assert "IVF" in factory
    assert search.trained_on == 3000
    assert search.measured is not None
    assert search.measured.recall >= 0.95
    assert recall_of(store.search(every[3000:], 10)[1], store.search_exactly(every[3000:], 10)[1]) > 0.9


def test_a_recall_that_the_index_cannot_reach_is_reported():
    store = FaissStore.create(16)
    store.add(clustered(3000), np.arange(3000))
    _, search = arrange(store, SearchOptions(recall=0.999, factory="PQ1x2"), progress=False)
    assert "of the exact ten best, not the requested 99.9 %, in" in found_sentence(search)
    assert "requested" not in found_sentence(replace(search, requested=SearchOptions(recall=0.0)))


FORCED = SearchOptions(factory="IDMap2,HNSW8,SQ8")


@pytest.fixture
def town(encoder_folder, photographs, tmp_path) -> tuple[Path, Path]:
    """A folder of 40 photographs and an index of them that has candidates."""
    photographs(tmp_path / "north", 40)
    build_index(
        str(tmp_path / "north"), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False, search=FORCED)
    )
    return tmp_path / "north", tmp_path / "index"


def descriptors(index: Path) -> dict[str, bytes]:
    bundle = Bundle.open(index)
    entries = bundle.catalog.all()
    vectors = bundle.store.vectors(np.array([entry.id for entry in entries]))
    found = [answer[0].entry.id for answer in bundle.search(vectors, 1)]
    assert found == [entry.id for entry in entries]
    return {Path(entry.path).name: vector.tobytes() for entry, vector in zip(entries, vectors, strict=True)}


def test_descriptors_are_bit_identical_after_many_changes(town, photographs, encoder_folder, tmp_path):
    north, index = town
    first = descriptors(index)
    photographs(tmp_path / "south", 5, suffix=".jpg")
    add_photographs(index, str(tmp_path / "south"))
    remove_photographs(index, ids=[0, 17, 41])
    add_photographs(index, str(north))
    roll_back(index)
    merge_indexes([index, town[1]], tmp_path / "merged")
    for changed in (index, tmp_path / "merged"):
        last = descriptors(changed)
        assert {name: vector for name, vector in last.items() if name in first} == {
            name: vector for name, vector in first.items() if name in last
        }
        manifest = read_manifest(changed)
        assert manifest.index == "HNSW8,SQ8"
        assert manifest.search.trained_on == 40
        assert "vectors.candidates.faiss" in manifest.files
        assert not [problem for one in verify_index(changed) for problem in one.problems]


def test_an_index_becomes_exact_and_approximate_again_without_embedding(town, encoder_folder):
    north, index = town
    for options, factory in (
        (SearchOptions(), EXACT),
        (SearchOptions(factory="IVF2,SQ8"), "IVF2,SQ8"),
        (SearchOptions(recall=1), EXACT),
    ):
        report = build_index(str(north), str(encoder_folder), index, BuildOptions(progress=False, search=options))
        assert (report.embedded, report.manifest.index) == (0, factory)
        assert ("vectors.candidates.faiss" in report.manifest.files) == (factory != EXACT)
        assert len(descriptors(index)) == 40


@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_candidate_index_is_rejected_by_name(town, damage):
    file = town[1] / "generations" / "1" / "vectors.candidates.faiss"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "remove":
        file.unlink()
    else:
        file.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    with pytest.raises(DacoError, match=r"vectors\.candidates\.faiss"):
        Bundle.open(town[1])
    assert "vectors.candidates.faiss" in verify_index(town[1])[0].problems[0]


def test_an_index_of_format_2_can_be_opened_and_changed(own_index):
    # as the version before wrote it: IDMap2 and a manifest that says nothing of the search
    import faiss

    folder = own_index / "generations" / "1"
    flat = faiss.index_factory(96, "IDMap2,Flat", faiss.METRIC_INNER_PRODUCT)
    store = Bundle.open(own_index).store
    flat.add_with_ids(store.vectors(store.ids()), store.ids())
    faiss.write_index(flat, str(folder / "vectors.faiss"))
    content = json.loads((folder / "manifest.json").read_text())
    del content["search"]
    content |= {"format_version": 2, "index": "IDMap2,Flat"}
    file = folder / "vectors.faiss"
    content["files"]["vectors.faiss"] = {"bytes": file.stat().st_size, "sha256": sha256_of(file)}
    (folder / "manifest.json").write_text(json.dumps(content))
    (own_index / "CURRENT").write_text(f"1 {sha256_of(folder / 'manifest.json')}\n")
    (folder / "manifest.json.sha256").unlink()
    assert len(descriptors(own_index)) == 12
    assert read_manifest(own_index).index == EXACT
    remove_photographs(own_index, ids=[3])
    assert len(descriptors(own_index)) == 11
    assert roll_back(own_index).count == 12
    assert len(descriptors(own_index)) == 12
    assert read_current(own_index).generation == 3


def test_an_index_of_format_3_can_be_read(own_index):
    folder = own_index / "generations" / "1"
    now = read_manifest(own_index)
    content = json.loads((folder / "manifest.json").read_text())
    content["format_version"] = 3
    content["search"]["wishes"] = content["search"].pop("requested")
    content["queries"]["wanted"] = content["queries"].pop("requested")
    (folder / "manifest.json").write_text(json.dumps(content))
    (own_index / "CURRENT").write_text(f"1 {sha256_of(folder / 'manifest.json')}\n")
    old = read_manifest(own_index)
    assert (old.search, old.queries) == (now.search, now.queries)


def test_an_impossible_index_type_is_rejected_before_anything_is_embedded(town, encoder_folder, tmp_path):
    build = ["build", str(town[0]), "--encoder", str(encoder_folder), "--out", str(tmp_path / "none")]
    for arguments, sentence in (
        (["--index", "HNSQ32"], "FAISS cannot build an index 'HNSQ32' for descriptors of 96 numbers"),
        (["--memory", "lots"], "'lots' is not a size of memory"),
    ):
        done = CliRunner().invoke(app, [*build, *arguments])
        assert isinstance(done.exception, DacoError)
        assert sentence in str(done.exception)
        assert not (tmp_path / "none").exists()


def test_info_prints_the_index_type_and_the_reason(town):
    said = " ".join(CliRunner().invoke(app, ["info", str(town[1])]).stdout.split())
    assert "FAISS HNSW8,SQ8" in said
    assert "HNSW8,SQ8, as requested with --index. With efSearch" in said
    assert "% of the exact ten best" in said
