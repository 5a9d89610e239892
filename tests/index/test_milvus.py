"""An index with vectors in Milvus: built, changed, rolled back, verified and exported like one on disk."""

import errno
import json
import os
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest

from daco_core.errors import DacoError, StoreAway
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.options import EmbeddingOptions
from daco_index.generations.change import add_photographs, remove_photographs, update_index
from daco_index.generations.folders import Writer
from daco_index.generations.merge import merge_indexes
from daco_index.generations.rollback import roll_back
from daco_index.generations.verify import verify_index
from daco_index.search.bundle import Bundle
from daco_index.search.index_choice import SearchOptions
from daco_index.search.stores import connection
from daco_index.search.stores.address import MilvusAddress
from daco_index.search.stores.milvus import MilvusStore, sweep

QUIET = EmbeddingOptions(device="cpu", progress=False)


@pytest.fixture
def town(milvus, encoder_folder, photographs, tmp_path) -> tuple[Path, Path]:
    """A folder of 8 photographs and its index, with the vectors in Milvus."""
    photographs(tmp_path / "north", 8)
    address = milvus.address(f"town{uuid4().hex[:6]}")
    build_index(
        str(tmp_path / "north"), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False, store=address)
    )
    return tmp_path / "north", tmp_path / "index"


def answers(index: Path) -> dict[str, str]:
    """Each photograph of the index by name, and the one that its own descriptor finds."""
    bundle = Bundle.open(index)
    entries = bundle.catalog.all()
    vectors = bundle.store.vectors(np.array([entry.id for entry in entries]))
    found = [answer[0].entry for answer in bundle.search(vectors, 1)]
    return {Path(entry.path).name: Path(best.path).name for entry, best in zip(entries, found, strict=True)}


def names(*numbers: int) -> dict[str, str]:
    return {f"{number:03d}.png": f"{number:03d}.png" for number in numbers}


def rows_in_milvus(index: Path) -> int:
    store = Bundle.open(index).store
    query = {"filter": "id >= 0", "output_fields": ["count(*)"], "consistency_level": "Strong"}
    return int(store._connection.call("query", store.collection, **query)[0]["count(*)"])


def test_an_index_in_milvus_can_be_changed_and_rolled_back(town, photographs, encoder_folder, tmp_path):
    north, index = town
    assert answers(index) == names(*range(8))
    assert not (index / "generations" / "1" / "vectors.faiss").exists()
    photographs(tmp_path / "south", 5, suffix=".jpg")
    report = add_photographs(index, str(tmp_path / "south"), options=QUIET)
    assert (report.added, report.embedded, report.manifest.count) == (5, 5, 13)
    remove_photographs(index, ids=[3, 4, 9])
    assert len(answers(index)) == 10 and "003.png" not in answers(index)
    assert rows_in_milvus(index) == 13  # what was removed stays for the generation before
    (north / "005.png").unlink()
    assert update_index(index, QUIET).removed == 1
    assert rows_in_milvus(index) == 10  # and no longer than that
    assert roll_back(index).count == 10
    assert roll_back(index).count == 9
    assert answers(index)["006.png"] == "006.png" and "005.png" not in answers(index)
    assert [one.problems for one in verify_index(index)] == [[], []]
    report = build_index(str(north), str(encoder_folder), index, BuildOptions(progress=False))
    assert (report.embedded, report.manifest.index.split("://")[0]) == (2, "milvus")
    assert answers(index) == names(0, 1, 2, 3, 4, 6, 7)


def test_a_rollback_restores_the_precision_of_queries(town, photographs, tmp_path):
    _, index = town
    photographs(tmp_path / "south", 2, suffix=".jpg")
    add_photographs(index, str(tmp_path / "south"), options=replace(QUIET, precision="fp32"))
    assert [Bundle.open_kept(index, number).manifest.queries.requested for number in (1, 2)] == ["auto", "fp32"]
    assert roll_back(index, 1).queries.requested == "auto"


def test_search_options_that_milvus_would_ignore_are_rejected(town, encoder_folder):
    north, index = town
    for options in (SearchOptions(factory="Flat"), SearchOptions(recall=1.0), SearchOptions(memory=10**6)):
        with pytest.raises(DacoError, match="omit --index, --memory, --recall and --gpu on"):
            build_index(str(north), str(encoder_folder), index, BuildOptions(progress=False, search=options))


def test_an_addition_transfers_only_new_vectors(town, photographs, tmp_path, monkeypatch):
    photographs(tmp_path / "south", 3, suffix=".jpg")
    moved = []
    real = connection.Connection.call

    def count(self, method, *arguments, **keywords):
        if method in ("upsert", "get"):
            moved.extend(arguments[1] if method == "upsert" else keywords["ids"])
        return real(self, method, *arguments, **keywords)

    monkeypatch.setattr(connection.Connection, "call", count)
    add_photographs(town[1], str(tmp_path / "south"), options=QUIET)
    assert len(moved) == 3


def test_an_index_moves_to_milvus_and_back_without_embedding(built, own_index, encoder_folder, milvus):
    before = Bundle.open(own_index)
    vectors = before.store.vectors(np.arange(12))
    for store in (milvus.address("moved"), "faiss"):
        report = build_index(str(built[0]), str(encoder_folder), own_index, BuildOptions(progress=False, store=store))
        assert report.embedded == 0
        moved = Bundle.open(own_index)
        assert moved.store.address == store
        np.testing.assert_array_equal(moved.store.vectors(np.arange(12)), vectors)
        assert moved.search(vectors[:3], 5)[0][1].entry == before.search(vectors[:3], 5)[0][1].entry


def test_indexes_merge_into_milvus(built, own_index, town, tmp_path, milvus):
    manifest = merge_indexes([own_index, town[1]], tmp_path / "both", store=milvus.address("both"))
    assert manifest.count == 20 and manifest.index == milvus.address("both")
    assert not verify_index(tmp_path / "both")[0].problems


def collections(index: Path) -> set[str]:
    """What a server holds of all indexes under the address of this one."""
    address = MilvusAddress.parse(Bundle.open(index).store.address)
    names = connection.Connection(address).call("list_collections")
    return {name for name in names if name.startswith(f"{address.name}_")}


@pytest.mark.parametrize("damage", ["EIO", "garbled", "the folder of generations cannot be listed"])
def test_no_collection_is_dropped_while_a_pointer_cannot_be_read(town, monkeypatch, damage):
    index = town[1]
    remove_photographs(index, ids=[0])
    held = collections(index)
    pointer = index / "generations" / "2" / "vectors.milvus.json"
    with Writer(index) as writer:
        owner = writer.owner
    text, read_bytes, listdir = pointer.read_bytes(), Path.read_bytes, os.listdir

    def fail(path: object) -> None:
        raise OSError(errno.EIO, "Input/output error", str(path))

    with monkeypatch.context() as patch:
        if damage == "EIO":
            patch.setattr(Path, "read_bytes", lambda self: fail(self) if self == pointer else read_bytes(self))
        elif damage == "garbled":
            pointer.write_bytes(text[:20])
        else:
            patch.setattr("os.listdir", lambda path: fail(path) if "generations" in str(path) else listdir(path))
        address = MilvusAddress.parse(json.loads(text)["address"])
        sweep(connection.Connection(address), index, owner)
    pointer.write_bytes(text)
    assert collections(index) == held
    assert answers(index) == names(*range(1, 8))
    assert roll_back(index).count == 8, "rows of the generation before were deleted"
    assert answers(index) == names(*range(8))


def test_a_copied_index_gets_its_own_collections_at_its_first_write(town, tmp_path):
    index, copy = town[1], tmp_path / "copy"
    shutil.copytree(index, copy, symlinks=True)
    assert answers(copy) == names(*range(8))
    before = collections(index)
    remove_photographs(copy, ids=[0, 1])
    assert collections(index) > before
    for number in range(2, 5):  # more than are kept, so that each clears away what is its own
        remove_photographs(copy, ids=[number])
        remove_photographs(index, ids=[7 - number])
    assert answers(copy) == names(5, 6, 7)
    assert answers(index) == names(0, 1, 2, 6, 7)
    assert not verify_index(copy)[-1].problems and not verify_index(index)[-1].problems


def test_a_moved_index_keeps_its_collections(town, tmp_path):
    index = town[1].rename(tmp_path / "moved")
    before = collections(index)
    remove_photographs(index, ids=[0])
    assert collections(index) == before


def test_two_indexes_with_one_address_do_not_mix(town, encoder_folder, photographs, tmp_path):
    photographs(tmp_path / "other", 4, suffix=".jpg")
    address = Bundle.open(town[1]).store.address
    build_index(
        str(tmp_path / "other"), str(encoder_folder), tmp_path / "second", BuildOptions(progress=False, store=address)
    )
    assert answers(town[1]) == names(*range(8))
    assert len(answers(tmp_path / "second")) == 4


def test_a_damaged_pointer_is_rejected_by_name_and_repaired_by_a_rollback(town):
    index = town[1]
    remove_photographs(index, ids=[0])
    pointer = index / "generations" / "2" / "vectors.milvus.json"
    pointer.write_text(pointer.read_text().replace('"count": 7', '"count": 8'))
    with pytest.raises(DacoError, match=r"vectors\.milvus\.json"):
        Bundle.open(index)
    assert roll_back(index).count == 8
    assert answers(index) == names(*range(8))


def test_an_unreachable_milvus_server_is_reported_in_one_sentence(daco_index, built, encoder_folder, tmp_path):
    done = daco_index(
        "build", built[0], "--encoder", encoder_folder, "--out", tmp_path / "i", "--store", "milvus://127.0.0.1:9/town"
    )
    assert done.returncode == 1 and "Traceback" not in done.stderr
    error = done.stderr.splitlines()[-1]
    assert error.startswith("Error: ") and "Milvus at 127.0.0.1:9 does not respond" in error


def test_writes_wait_for_a_server_that_comes_back_and_reads_report_its_absence(
    own_milvus, encoder_folder, photographs, tmp_path, capsys
):
    photographs(tmp_path / "north", 8)
    build_index(
        str(tmp_path / "north"),
        str(encoder_folder),
        tmp_path / "index",
        BuildOptions(progress=False, store=own_milvus.address("a")),
    )
    bundle = Bundle.open(tmp_path / "index")
    with Writer(tmp_path / "index") as writer:
        fingerprint = bundle.manifest.encoder_fingerprint
        address = MilvusAddress.parse(own_milvus.address("a"))
        begun = MilvusStore.begin(address, writer.index, writer.owner, fingerprint, 96, 2)
    own_milvus.stop()
    with pytest.raises(StoreAway, match=f"Milvus at 127.0.0.1:{own_milvus.port} does not respond"):
        bundle.store.check()
    with pytest.raises(StoreAway):
        bundle.search(np.ones((1, 96), dtype=np.float32), 1)
    comes_back = threading.Timer(2, own_milvus.start)
    comes_back.start()
    begun.remove(np.array([3, 4]))
    comes_back.join()
    assert "Retrying for" in capsys.readouterr().err
    remove_photographs(tmp_path / "index", ids=[3])
    bundle.store.check()
    assert answers(tmp_path / "index") == names(0, 1, 2, 4, 5, 6, 7)


class Killed(BaseException):
    """Stands in for the end of a process."""


def test_a_change_interrupted_at_any_call_to_milvus_leaves_the_old_or_the_new_index(town, monkeypatch):
    index = town[1]
    real = connection.Connection.call
    left = 0

    def die(self, method, *arguments, **keywords):
        nonlocal left
        left -= 1
        if left < 0:
            raise Killed
        return real(self, method, *arguments, **keywords)

    here, ends = list(range(8)), 0
    monkeypatch.setattr(Writer, "_remove", lambda *_: None)
    while True:
        left = ends
        try:
            with monkeypatch.context() as patch:
                patch.setattr(connection.Connection, "call", die)
                remove_photographs(index, ids=here[:1])
            break
        except Killed:
            ends += 1
            found = answers(index)
            assert found in (names(*here), names(*here[1:])), ends
            here = sorted(int(name[:3]) for name in found)
    assert ends >= 10
    assert answers(index) == names(*here[1:])
