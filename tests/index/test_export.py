"""`daco-index export` for reconstruction programs: each file is read back by that program's rules."""

import shutil
from pathlib import Path

import h5py
import numpy as np
import pycolmap
import pytest

from daco_core.errors import UsageError
from daco_index.build import BuildOptions, build_index
from daco_index.export.reconstruction import export_colmap, export_hloc, export_kapture
from daco_index.export.tables import export_npz
from daco_index.search.bundle import Bundle

COUNT = 3  # pairs of each photograph


@pytest.fixture(scope="module")
def town(encoder_folder, photographs, tmp_path_factory):
    """Photographs in two folders, two of them with positions, and the opened index of them."""
    root = tmp_path_factory.mktemp("town")
    photographs(root / "photographs" / "north", 4)
    photographs(root / "photographs" / "south", 3, size=(72, 96))
    rows = "file,latitude,longitude\nnorth/000.png,35.5,139.25\nsouth/001.png,35.6,139.5\n"
    (root / "photographs" / "locations.csv").write_text(rows)
    build_index(str(root / "photographs"), str(encoder_folder), root / "index", BuildOptions(progress=False))
    return root, Bundle.open(root / "index")


def expected(bundle: Bundle) -> dict[str, list[str]]:
    """The most similar others of each photograph, from all similarities."""
    entries = bundle.catalog.all()
    names = [str(Path(entry.path).relative_to(Path(entries[0].path).parents[1])) for entry in entries]
    vectors = bundle.store.vectors(np.array([entry.id for entry in entries]))
    similarities = vectors @ vectors.T
    np.fill_diagonal(similarities, -2)
    order = np.argsort(-similarities, axis=1)[:, :COUNT]
    return {name: [names[other] for other in others] for name, others in zip(names, order, strict=True)}


def test_hloc_reads_descriptors_and_pairs(town, tmp_path):
    _, bundle = town
    export_hloc(bundle, tmp_path / "hloc", COUNT)
    names = []
    with h5py.File(tmp_path / "hloc" / "global-feats-daco.h5") as file:
        # as hloc.utils.io.list_h5_names and hloc.pairs_from_retrieval.get_descriptors do
        file.visititems(lambda _, found: names.append(found.parent.name.strip("/")) if is_dataset(found) else None)
        vectors = {name: file[name]["global_descriptor"].__array__() for name in names}
    assert sorted(names) == sorted(expected(bundle))
    entries = {entry.path.rpartition("photographs/")[2]: entry.id for entry in bundle.catalog.all()}
    for name, vector in vectors.items():
        np.testing.assert_array_equal(vector, bundle.store.vectors(np.array([entries[name]]))[0])
    retrieval: dict[str, list[str]] = {}
    # as hloc.utils.parsers.parse_retrieval does
    for line in (tmp_path / "hloc" / "pairs-daco.txt").read_text().rstrip("\n").split("\n"):
        query, reference = line.split()
        retrieval.setdefault(query, []).append(reference)
    assert retrieval == expected(bundle)


def is_dataset(found: object) -> bool:
    return isinstance(found, h5py.Dataset)


def test_colmap_itself_reads_the_match_list(town, tmp_path):
    root, bundle = town
    count = export_colmap(bundle, tmp_path / "matches.txt", COUNT)
    wanted = {frozenset((name, other)) for name, others in expected(bundle).items() for other in others}
    assert count == len(wanted)
    database = pycolmap.Database.open(tmp_path / "database.db")
    pycolmap.import_images(tmp_path / "database.db", root / "photographs")
    images = {image.image_id: image.name for image in database.read_all_images()}
    assert len(images) == 7
    options = pycolmap.ImportedPairingOptions()
    options.match_list_path = str(tmp_path / "matches.txt")
    read = pycolmap.ImportedPairGenerator(options, database).all_pairs()
    assert len(read) == count
    assert {frozenset(images[number] for number in pair) for pair in read} == wanted


def test_a_kapture_export_has_photographs_positions_descriptors_and_pairs(town, tmp_path):
    root, bundle = town
    export_kapture(bundle, tmp_path / "kapture", COUNT)
    sensors = {row[0]: row[1:] for row in kapture_table(tmp_path / "kapture" / "sensors" / "sensors.txt")}
    assert sensors["camera_96x72"] == ["", "camera", "UNKNOWN_CAMERA", "96", "72"]
    assert sensors["gnss_camera_72x96"] == ["", "gnss", "EPSG:4326"]
    records = kapture_table(tmp_path / "kapture" / "sensors" / "records_camera.txt")
    assert {name for _, _, name in records} == set(expected(bundle))
    assert {camera for _, camera, _ in records} <= set(sensors)
    for _, _, name in records:
        link = tmp_path / "kapture" / "sensors" / "records_data" / name
        assert link.read_bytes() == (root / "photographs" / name).read_bytes()
    positions = kapture_table(tmp_path / "kapture" / "sensors" / "records_gnss.txt")
    assert [row[2:4] for row in positions] == [["139.25", "35.5"], ["139.5", "35.6"]]  # x is the longitude
    features = tmp_path / "kapture" / "reconstruction" / "global_features" / "daco"
    ((name, kind, size, metric),) = kapture_table(features / "global_features.txt")
    assert (name, kind, metric) == ("daco", "float32", "L2")
    read = np.fromfile(features / "north" / "002.png.gfeat", dtype=np.float32).reshape(int(size))
    entry = next(entry for entry in bundle.catalog.all() if entry.path.endswith("north/002.png"))
    np.testing.assert_array_equal(read, bundle.store.vectors(np.array([entry.id]))[0])
    retrieval: dict[str, list[str]] = {}
    for query, reference, score in kapture_table(tmp_path / "kapture" / "pairs_daco.txt"):
        retrieval.setdefault(query, []).append(reference)
        assert -1 <= float(score) <= 1
    assert retrieval == expected(bundle)
    with pytest.raises(UsageError, match="not an empty folder"):
        export_kapture(bundle, tmp_path / "kapture", COUNT)


def kapture_table(file: Path) -> list[list[str]]:
    """As kapture.io.csv.table_from_file reads it; the first line must state the format's version."""
    lines = file.read_text().splitlines()
    assert lines[0] == "# kapture format: 1.1"
    return [[field.strip() for field in line.split(",")] for line in lines if line.strip() and line[0] != "#"]


def test_the_numpy_arrays_have_a_common_order(town, tmp_path):
    _, bundle = town
    export_npz(bundle, tmp_path / "town.npz")
    with np.load(tmp_path / "town.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["descriptors"], bundle.store.vectors(saved["ids"]))
        assert list(saved["names"]) == list(expected(bundle))
        assert np.isnan(saved["latitudes"]).sum() == 5 and 35.5 in saved["latitudes"]
        assert str(saved["encoder_fingerprint"]) == bundle.manifest.encoder_fingerprint


def test_the_command_writes_all_formats_and_rejects_names_with_spaces(
    town, daco_index, encoder_folder, photographs, tmp_path
):
    root, _ = town
    targets = "--npz", "a.npz", "--hloc", "h", "--colmap", "c.txt", "--kapture", "k", "--pairs", 2
    done = daco_index("export", root / "index", *targets, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4
    photographs(tmp_path / "two words", 2)
    shutil.move(tmp_path / "two words" / "000.png", tmp_path / "two words" / "a b.png")
    build_index(str(tmp_path / "two words"), str(encoder_folder), tmp_path / "spaces", BuildOptions(progress=False))
    done = daco_index("export", tmp_path / "spaces", "--hloc", tmp_path / "no")
    assert done.returncode == 1 and "has a space in its name" in done.stderr
    assert not (tmp_path / "no").exists()
