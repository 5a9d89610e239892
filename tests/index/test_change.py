"""Adding, removing and updating photographs: nothing is embedded twice, and no id is assigned twice."""

import errno
import os
import shutil
import signal
import subprocess
from pathlib import Path

import numpy as np
import pytest

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.embedding_cache import EmbeddingCache, Photograph
from daco_index.embedding.engines.openvino import OpenVinoEngine
from daco_index.embedding.options import EmbeddingOptions
from daco_index.generations.change import add_photographs, remove_photographs, update_index
from daco_index.generations.folders import Writer
from daco_index.generations.verify import verify_index
from daco_index.search.bundle import Bundle, read_manifest
from daco_training.encoder.encoder import Encoder

QUIET = EmbeddingOptions(device="cpu", progress=False)


class Killed(BaseException):
    """Stands in for the end of a process."""


@pytest.fixture
def engine_count(monkeypatch):
    """Counts the images that really go through the engine."""
    counted = []
    real = OpenVinoEngine.embed_prepared

    def count(self, tensors):
        counted.extend(tensors)
        return real(self, tensors)

    monkeypatch.setattr(OpenVinoEngine, "embed_prepared", count)
    return lambda: len(counted)


@pytest.fixture
def town(encoder_folder, photographs, tmp_path) -> tuple[Path, Path]:
    """A folder of 8 photographs and its index."""
    photographs(tmp_path / "north", 8)
    build_index(str(tmp_path / "north"), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False))
    return tmp_path / "north", tmp_path / "index"


def by_path(index: Path) -> dict[str, int]:
    return {Path(entry.path).name: entry.id for entry in Bundle.open(index).catalog.all()}


def each_finds_itself(index: Path) -> bool:
    bundle = Bundle.open(index)
    entries = bundle.catalog.all()
    vectors = bundle.store.vectors(np.array([entry.id for entry in entries]))
    return [answer[0].entry.id for answer in bundle.search(vectors, 1)] == [entry.id for entry in entries]


def test_only_added_photographs_are_embedded(town, photographs, tmp_path, engine_count):
    north, index = town
    before = by_path(index)
    photographs(tmp_path / "south", 5, suffix=".jpg")
    shutil.copy(north / "000.png", tmp_path / "south" / "copy.png")
    report = add_photographs(index, str(tmp_path / "south"), options=QUIET)
    assert (report.found, report.added, report.removed, report.embedded) == (6, 6, 0, 5)
    assert engine_count() == 5
    after = by_path(index)
    assert {name: after[name] for name in before} == before
    assert len(set(after.values())) == 14
    assert Bundle.open(index).generation == 2


def test_added_photographs_get_the_descriptors_of_a_complete_build(town, photographs, encoder_folder, tmp_path):
    north, index = town
    photographs(north / "more", 3, (72, 96))
    add_photographs(index, str(north / "more"), options=QUIET)
    build_index(str(north), str(encoder_folder), tmp_path / "whole", BuildOptions(progress=False))
    one, other = Bundle.open(index), Bundle.open(tmp_path / "whole")
    for entry in other.catalog.all():
        twin = next(mine for mine in one.catalog.all() if mine.path == entry.path)
        np.testing.assert_allclose(
            one.store.vectors(np.array([twin.id])), other.store.vectors(np.array([entry.id])), atol=1e-5
        )
    assert each_finds_itself(index)


def test_adding_indexed_photographs_writes_no_generation(town, engine_count):
    report = add_photographs(town[1], str(town[0]), options=QUIET)
    assert not report.published
    assert (report.manifest.generation, report.embedded, engine_count()) == (1, 0, 0)


def test_ids_are_never_reused(town, photographs, tmp_path):
    north, index = town
    remove_photographs(index, ids=[6, 7])
    photographs(tmp_path / "south", 2, suffix=".jpg")
    add_photographs(index, str(tmp_path / "south"), options=QUIET)
    assert set(by_path(index).values()) == {0, 1, 2, 3, 4, 5, 8, 9}
    add_photographs(index, str(north), options=QUIET)
    assert by_path(index)["007.png"] == 11


def test_photographs_are_removed_by_place_path_folder_or_id(town, photographs):
    north, index = town
    photographs(north / "yard", 3)
    update_index(index, QUIET)
    _, gone = remove_photographs(index, places=["000"], paths=[str(north / "001.png"), str(north / "yard")], ids=[2])
    assert sorted(entry.place for entry in gone) == ["000", "001", "002", "yard/000", "yard/001", "yard/002"]
    assert sorted(by_path(index)) == ["003.png", "004.png", "005.png", "006.png", "007.png"]
    assert each_finds_itself(index)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"places": ["000", "nowhere"]}, "the place 'nowhere'"),
        ({"paths": ["/nowhere"]}, "the path /nowhere"),
        ({"ids": [99]}, "the id 99"),
        ({}, "--place, --path or --id"),
        ({"ids": list(range(8))}, "every photograph"),
    ],
)
def test_an_invalid_removal_removes_nothing(town, chosen, sentence):
    with pytest.raises(DacoError, match=sentence):
        remove_photographs(town[1], **chosen)
    assert Bundle.open(town[1]).generation == 1


def test_update_finds_new_changed_moved_and_deleted_files(town, photographs, engine_count):
    north, index = town
    photographs(north / "new", 2, (72, 96))
    shutil.copy(north / "new" / "001.png", north / "003.png")
    (north / "004.png").rename(north / "moved.png")
    (north / "005.png").unlink()
    report = update_index(index, QUIET)
    assert report.added == 2 + 1 + 1  # new, changed, moved
    assert report.removed == 1 + 1 + 1  # changed, moved, vanished
    # the copy and what it is of may be decoded at one time
    assert report.embedded == engine_count() in (2, 3)
    after = by_path(index)
    assert "005.png" not in after
    assert after["006.png"] == 6
    assert after["003.png"] >= 8
    assert not update_index(index, QUIET).published


def test_update_takes_new_positions_without_embedding_or_new_ids(town, engine_count):
    north, index = town
    (north / "locations.csv").write_text("file,place,latitude,longitude,heading\n002.png,inn,10,20,350\n")
    report = update_index(index, QUIET)
    assert (report.published, report.added, report.embedded, engine_count()) == (True, 0, 0, 0)
    entry = Bundle.open(index).catalog.get([2])[0]
    assert (entry.place, entry.latitude, entry.heading) == ("inn", 10, 350)


def test_removed_photographs_stay_removed_until_they_are_added_again(town):
    north, index = town
    remove_photographs(index, places=["003"])
    (north / "003.png").rename(north.with_name("away.png"))
    assert not update_index(index, QUIET).published
    north.with_name("away.png").rename(north / "003.png")
    assert not update_index(index, QUIET).published
    add_photographs(index, str(north), options=QUIET)
    assert by_path(index)["003.png"] == 8


@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE, errno.EMFILE])
def test_a_disk_that_fails_during_an_update_removes_nothing(town, monkeypatch, number):
    _, index = town
    real = Path.read_bytes

    def fail(path):
        if path.name == "005.png":
            raise OSError(number, os.strerror(number))
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", fail)
    with pytest.raises(DacoError, match=f"005.png cannot be read: {os.strerror(number)}"):
        update_index(index, QUIET)
    assert len(by_path(index)) == 8


@pytest.mark.parametrize("change", ["update", "add"])
def test_an_unreadable_photograph_keeps_its_entry_and_is_named(town, change, capsys):
    north, index = town
    whole = (north / "003.png").read_bytes()
    before = Bundle.open(index).catalog.all()
    (north / "003.png").write_bytes(whole[:40])  # half-written, as by a copy that is under way
    (north / "005.png").unlink()
    (north / "new.png").write_text("no photograph yet")
    report = update_index(index, QUIET) if change == "update" else add_photographs(index, str(north), options=QUIET)
    gone = "005.png" if change == "update" else ""
    assert Bundle.open(index).catalog.all() == [entry for entry in before if Path(entry.path).name != gone]
    assert sorted(Path(path).name for path in report.unreadable) == ["003.png", "new.png"]
    assert [Path(path).name for path in report.kept] == ["003.png"]
    assert "003.png" in capsys.readouterr().err
    assert each_finds_itself(index)
    (north / "003.png").write_bytes(whole)
    report = update_index(index, QUIET)
    assert (report.added, report.embedded, report.kept) == (0, 0, [])
    assert by_path(index)["003.png"] == before[3].id


def test_a_rewritten_photograph_gets_a_new_id_once_it_can_be_read(town, photographs, tmp_path):
    north, index = town
    (north / "003.png").write_bytes(b"half of another one")
    update_index(index, QUIET)
    assert by_path(index)["003.png"] == 3
    (other,) = photographs(tmp_path / "elsewhere", 1, (320, 200))
    shutil.copy(other, north / "003.png")
    report = update_index(index, QUIET)
    assert (report.added, report.removed) == (1, 1)
    assert by_path(index)["003.png"] == 8


def test_a_missing_source_folder_removes_nothing(town):
    north, index = town
    north.rename(north.with_name("elsewhere"))
    with pytest.raises(DacoError, match="no such folder"):
        update_index(index, QUIET)
    assert len(by_path(index)) == 8


def test_commands_that_change_an_index_do_not_create_one(town, tmp_path):
    for change in (
        lambda: add_photographs(tmp_path / "none", str(town[0]), options=QUIET),
        lambda: update_index(tmp_path / "none", QUIET),
        lambda: remove_photographs(tmp_path / "none", ids=[1]),
    ):
        with pytest.raises(DacoError, match="is not a folder"):
            change()
    assert not (tmp_path / "none").exists()


def test_a_rebuild_embeds_only_what_changed_and_another_encoder_everything(
    town, photographs, encoder_folder, tmp_path, engine_count
):
    north, index = town
    photographs(north / "more", 2, (72, 96))
    report = build_index(str(north), str(encoder_folder), index, BuildOptions(progress=False))
    assert (report.embedded, report.added, report.removed) == (2, 2, 0)
    Encoder(EncoderConfig(backbone="test_resnet", image_size=64)).eval().save(tmp_path / "other")
    report = build_index(str(north), str(tmp_path / "other"), index, BuildOptions(progress=False))
    assert (report.embedded, report.added, report.removed) == (10, 0, 0)
    assert engine_count() == 12


@pytest.mark.parametrize("batches", [1, 3, 5])
def test_a_build_that_was_stopped_resumes(batches, encoder_folder, photographs, tmp_path, monkeypatch):
    photographs(tmp_path / "p", 12)
    real, made = OpenVinoEngine.embed_prepared, []

    def stop(self, tensors):
        if len(made) == batches:
            raise Killed
        made.append(len(tensors))
        return real(self, tensors)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(OpenVinoEngine, "embed_prepared", stop)
        build_index(
            str(tmp_path / "p"), str(encoder_folder), tmp_path / "index", BuildOptions(batch_size=2, progress=False)
        )
    report = build_index(str(tmp_path / "p"), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False))
    assert report.embedded == 12 - 2 * batches
    assert report.manifest.count == 12
    assert each_finds_itself(tmp_path / "index")
    assert not (tmp_path / "index" / "generations" / ".embedded").exists()


def test_a_build_killed_by_sigkill_resumes(encoder_folder, photographs, command, tmp_path):
    photographs(tmp_path / "many", 150, (320, 240))
    arguments = [*command, "build", tmp_path / "many", "--encoder", encoder_folder, "--out", tmp_path / "index"]
    process = subprocess.Popen([*arguments, "--batch-size", "1"], stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = b""
    while said.count(b"/150 [") < 3:  # some batches are through
        said += (read := process.stderr.read1())
        assert read, said.decode()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    notes = next((tmp_path / "index" / "generations" / ".embedded").iterdir())
    made = len(EmbeddingCache(notes.parent, notes.stem, 96))
    assert made > 0
    report = build_index(str(tmp_path / "many"), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False))
    assert report.embedded == 150 - made


def test_damaged_progress_records_cost_only_their_own_photographs(tmp_path):
    vectors = np.random.default_rng(0).normal(size=(5, 8)).astype(np.float32)
    photographs = [Photograph(640, 480, f"{number:064x}") for number in range(5)]
    EmbeddingCache(tmp_path, "f", 8).remember(photographs, vectors)
    file = tmp_path / "f.descriptors"
    content = bytearray(file.read_bytes())
    size = len(content) // 5
    content[2 * size + 50] ^= 1
    file.write_bytes(content[:-3])
    again = EmbeddingCache(tmp_path, "f", 8)
    assert len(again) == 3
    again.remember(photographs[4:], vectors[4:])
    once_more = EmbeddingCache(tmp_path, "f", 8)
    for number in (0, 1, 3, 4):
        found = once_more.look_up(photographs[number].sha256)
        assert found is not None
        assert found.photograph == photographs[number] and not found.live
        np.testing.assert_array_equal(once_more.vectors[found.row], vectors[number])
    assert once_more.look_up(photographs[2].sha256) is None


def test_every_change_is_rejected_while_another_writer_is_active(town):
    north, index = town
    with Writer(index):
        for change in (
            lambda: add_photographs(index, str(north), options=QUIET),
            lambda: update_index(index, QUIET),
            lambda: remove_photographs(index, ids=[1]),
        ):
            with pytest.raises(DacoError, match="being written by another process"):
                change()
    assert read_manifest(index).generation == 1


def encoder_files(index: Path, generation: int) -> list[Path]:
    return sorted((index / "generations" / str(generation) / "encoder").iterdir())


def test_generations_share_encoder_files_and_survive_each_others_deletion(town, photographs, tmp_path):
    _, index = town
    photographs(tmp_path / "south", 3)
    add_photographs(index, str(tmp_path / "south"), options=QUIET)
    first, second = encoder_files(index, 1), encoder_files(index, 2)
    assert [file.name for file in first] == ["encoder.json", "model.onnx", "model.safetensors"]
    assert all(one.samefile(other) for one, other in zip(first, second, strict=True))
    copy = shutil.copytree(index, tmp_path / "copy")
    remove_photographs(index, ids=[0])
    assert not (index / "generations" / "1").exists()
    for folder in (index, Path(copy)):
        assert not [problem for one in verify_index(folder) for problem in one.problems]
        assert each_finds_itself(folder)
    assert not encoder_files(Path(copy), 2)[0].samefile(second[0])


def test_encoder_files_are_copied_without_hard_links_and_for_another_encoder(town, photographs, tmp_path, monkeypatch):
    _, index = town
    photographs(tmp_path / "south", 3)

    def refuse(self, target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", refuse)
    add_photographs(index, str(tmp_path / "south"), options=QUIET)
    for one, other in zip(encoder_files(index, 1), encoder_files(index, 2), strict=True):
        assert not one.samefile(other) and one.read_bytes() == other.read_bytes()
    monkeypatch.undo()
    Encoder(EncoderConfig(backbone="test_resnet", image_size=32)).eval().save(tmp_path / "another")
    options = BuildOptions(progress=False)
    build_index(str(tmp_path / "north"), str(tmp_path / "another"), index, options)
    for one, other in zip(encoder_files(index, 2), encoder_files(index, 3), strict=True):
        assert not one.samefile(other)
    assert each_finds_itself(index)
