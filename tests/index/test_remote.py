"""Photographs in an object store: fsspec's memory file system, and files by URL."""

import importlib.util

import fsspec
import pytest
from PIL import Image

from daco_core.encoder.stored import open_encoder
from daco_core.errors import DacoError, MissingExtra
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.embed import embed_files
from daco_index.embedding.engines.create import create_engine
from daco_index.embedding.options import EmbeddingOptions
from daco_index.generations.change import remove_photographs, update_index
from daco_index.references import object_stores as remote
from daco_index.references.find import find_references
from daco_index.search.bundle import Bundle

from .test_references import gps, write_photograph

QUIET = EmbeddingOptions(device="cpu", progress=False)


@pytest.fixture
def bucket(photographs, tmp_path):
    """`memory://bucket/north` with five photographs: one in a table, one placed by its EXIF, one hidden, one broken."""
    photographs(tmp_path / "files", 3)
    write_photograph(tmp_path / "files" / "sub" / "exif.jpg", gps("N", "E"))
    write_photograph(tmp_path / "files" / ".hidden" / "x.jpg")
    (tmp_path / "files" / "broken.png").write_text("no picture")
    (tmp_path / "files" / "locations.csv").write_text("file,place,latitude,longitude,heading\n001.png,inn,10,20,350\n")
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "files"), "/bucket/north", recursive=True)
    yield "memory://bucket/north"
    memory.rm("/bucket", recursive=True)


def test_references_in_an_object_store_equal_those_of_a_folder(bucket, tmp_path):
    there, here = find_references(bucket), find_references(str(tmp_path / "files"))
    assert [reference.place for reference in there] == [reference.place for reference in here]
    assert [str(reference.path) for reference in there][:2] == [f"{bucket}/000.png", f"{bucket}/001.png"]
    assert (there[1].place, there[1].latitude, there[1].heading) == ("inn", 10, 350)


def test_an_index_of_an_object_store_equals_that_of_a_folder(bucket, encoder_folder, tmp_path):
    (tmp_path / "files" / "broken.png").unlink()
    build_index(str(tmp_path / "files"), str(encoder_folder), tmp_path / "here", BuildOptions(progress=False))
    report = build_index(bucket, str(encoder_folder), tmp_path / "there", BuildOptions(progress=False))
    assert list(report.unreadable) == [f"{bucket}/broken.png"]
    here, there = Bundle.open(tmp_path / "here"), Bundle.open(tmp_path / "there")
    for one, other in zip(here.catalog.all(), there.catalog.all(), strict=True):
        assert (one.place, one.latitude, one.longitude, one.sha256) == (
            other.place,
            other.latitude,
            other.longitude,
            other.sha256,
        )
        assert (here.store.vectors([one.id]) == there.store.vectors([other.id])).all()


def test_update_follows_changes_in_an_object_store(bucket, encoder_folder, tmp_path):
    build_index(bucket, str(encoder_folder), tmp_path / "index", BuildOptions(progress=False))
    fsspec.filesystem("memory").rm("/bucket/north/000.png")
    report = update_index(tmp_path / "index", QUIET)
    assert (report.removed, report.added, report.embedded) == (1, 0, 0)
    assert not update_index(tmp_path / "index", QUIET).published
    located = [entry for entry in Bundle.open(tmp_path / "index").catalog.all() if entry.latitude is not None]
    assert [entry.place for entry in located] == ["inn", "sub/exif"]
    _, gone = remove_photographs(tmp_path / "index", paths=[f"{bucket}/sub/"])
    assert [entry.place for entry in gone] == ["sub/exif"]


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("memory://nowhere", "contains no photographs"),
        ("nostore://x/y", "nostore://x/y cannot be listed: .*nostore"),
        ("s3://bucket/x", "s3fs"),
    ],
)
def test_an_invalid_address_is_reported_in_one_sentence(source, sentence):
    with pytest.raises(DacoError, match=sentence):
        find_references(source)


def test_a_missing_package_for_an_address_raises_missing_extra(encoder_folder, photographs, tmp_path):
    if importlib.util.find_spec("s3fs"):
        pytest.skip("s3fs is installed")
    engine = create_engine(open_encoder(encoder_folder), "cpu")
    with pytest.raises(MissingExtra, match="s3fs"):
        find_references("s3://bucket/x")
    with pytest.raises(MissingExtra, match="s3fs"):
        embed_files(engine, ["s3://bucket/x.jpg"], progress=False)


def test_a_store_that_stops_responding_ends_the_build_and_skips_nothing(bucket, encoder_folder, tmp_path, monkeypatch):
    def away(*_: object) -> bytes:
        raise ConnectionError("connection reset")

    monkeypatch.setattr(type(fsspec.filesystem("memory")), "cat_file", away)
    with pytest.raises(DacoError, match=f"{bucket}/000.png cannot be read: connection reset"):
        build_index(bucket, str(encoder_folder), tmp_path / "index", BuildOptions(progress=False))
    assert not (tmp_path / "index" / "CURRENT").exists()


def test_a_broken_table_is_named_by_its_address(bucket):
    fsspec.filesystem("memory").pipe("/bucket/north/locations.csv", b"file,latitude,longitude\n001.png,north,5\n")
    with pytest.raises(DacoError, match=r"memory://bucket/north/locations\.csv, line 2"):
        find_references(bucket)


def test_a_photograph_is_read_by_its_address(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert remote.read_source((tmp_path / "a.png").as_uri()) == (tmp_path / "a.png").read_bytes()


def test_positions_in_exif_that_cannot_be_used_are_counted_as_in_a_folder(encoder_folder, tmp_path, capsys):
    """Those of a bucket are found when its photographs are read, and counted all the same."""
    nowhere = {"GPSLatitude": (0.0, 0.0, 0.0), "GPSLongitude": (0.0, 0.0, 0.0)}
    write_photograph(tmp_path / "files" / "0.jpg", gps("N", "E"))
    for name in ("1.jpg", "2.jpg"):
        write_photograph(tmp_path / "files" / name, gps("N", "E", **nowhere))
    memory = fsspec.filesystem("memory")
    memory.put(str(tmp_path / "files"), "/phones/north", recursive=True)
    try:
        reports = [
            build_index(source, str(encoder_folder), tmp_path / out, BuildOptions(device="cpu", progress=False))
            for source, out in ((str(tmp_path / "files"), "here"), ("memory://phones/north", "there"))
        ]
    finally:
        memory.rm("/phones", recursive=True)
    assert reports[0].notes == reports[1].notes
    (note,) = reports[1].notes
    assert note.startswith("The position in the EXIF of 2 photographs is not used: it is latitude 0, longitude 0")
    assert capsys.readouterr().err.count(f"Note: {note}") == 2
    placed = [entry.latitude is not None for entry in Bundle.open(tmp_path / "there").catalog.all()]
    assert placed == [True, False, False]
