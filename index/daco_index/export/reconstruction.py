"""Exports an index for reconstruction programs: hloc, COLMAP and kapture.

Photographs are named by their paths relative to the indexed folders; these programs use the same names if they are
given the same folder.
"""

from collections.abc import Sequence
from pathlib import Path

from daco_core.errors import MissingExtra, UsageError
from daco_index.export.atomic import written_file, written_folder
from daco_index.export.nearest import ROWS, descriptors_of, nearest_pairs
from daco_index.references.object_stores import is_remote
from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry
from daco_index.search.source_names import SourceNames, check_list_names

HLOC_FEATURES = "global-feats-daco.h5"
HLOC_PAIRS = "pairs-daco.txt"
KAPTURE_VERSION = "# kapture format: 1.1"
KAPTURE_NAME = "daco"  # the name of the global features and of the list of pairs


def export_hloc(bundle: Bundle, folder: Path, pairs: int) -> None:
    """Writes the results of a retrieval in hloc's format, `global-feats-daco.h5` and `pairs-daco.txt`, into a folder.

    The HDF5 file has a group for each photograph, under its name, with the dataset `global_descriptor`, (dimension,),
    float32; the list has a line `NAME OTHER` for each photograph and each of its most similar others, as hloc's
    `pairs_from_retrieval` writes and `parse_retrieval` reads it.

    Args:
        pairs: how many others each photograph is paired with.

    Raises:
        MissingExtra: h5py is not installed.
        UsageError: a name cannot be written into the list.
        DacoError: a file cannot be written.
    """
    try:
        import h5py
    except ImportError as error:
        raise MissingExtra("--hloc needs h5py, which is not installed: pip install 'daco-serve[hloc]'.") from error
    names = names_in_lists(bundle)
    folder.mkdir(parents=True, exist_ok=True)
    with written_file(folder / HLOC_FEATURES) as fresh, h5py.File(fresh, "w", libver="latest") as file:
        for entries, vectors in descriptors_of(bundle, ROWS):
            for entry, vector in zip(entries, vectors, strict=True):
                file.create_group(names[entry.id]).create_dataset("global_descriptor", data=vector)
    with written_file(folder / HLOC_PAIRS) as fresh, fresh.open("w", encoding="utf-8") as stream:
        for pair in nearest_pairs(bundle, pairs):
            stream.write(f"{names[pair.photograph.id]} {names[pair.like.id]}\n")


def export_colmap(bundle: Bundle, file: Path, pairs: int) -> int:
    """Writes a match list, as COLMAP's `matches_importer --match_type pairs` reads it; returns how many pairs it has.

    Each pair is listed once, as `NAME OTHER`; names are relative to COLMAP's image path.

    Raises:
        UsageError: a name cannot be written into the list.
        DacoError: the file cannot be written.
    """
    names = names_in_lists(bundle)
    seen: set[tuple[int, int]] = set()
    with written_file(file) as fresh, fresh.open("w", encoding="utf-8") as stream:
        for photograph, like, _ in nearest_pairs(bundle, pairs):
            key = min(photograph.id, like.id), max(photograph.id, like.id)
            if key not in seen:
                seen.add(key)
                stream.write(f"{names[photograph.id]} {names[like.id]}\n")
    return len(seen)


def export_kapture(bundle: Bundle, folder: Path, pairs: int) -> None:
    """Writes the photographs with their positions, descriptors and pairs in kapture format into a new folder.

    `sensors/` has a camera for each size of photograph, of unknown model, and the positions as GNSS records (longitude,
    latitude; EPSG:4326); `sensors/records_data/` has symbolic links to the photographs; `reconstruction/
    global_features/daco/` has the descriptors; `pairs_daco.txt` is a pairs file of kapture-localization.

    Source: the format's specification 1.1, https://github.com/naver/kapture, `kapture_format.adoc`.

    Raises:
        UsageError: the folder is not empty, or a name contains a comma or is not unique.
        DacoError: it cannot be written.
    """
    entries = bundle.catalog.all()
    names = names_in_lists(bundle)
    if comma := next((name for name in names.values() if "," in name), None):
        raise UsageError(f"{comma!r} has a comma in its name, which kapture's tables do not allow: rename the file.")
    with written_folder(folder) as fresh:
        _write_kapture_sensors(fresh / "sensors", entries, names)
        features = fresh / "reconstruction" / "global_features" / KAPTURE_NAME
        row = [KAPTURE_NAME, "float32", bundle.store.dimension, "L2"]
        _write_kapture(features / "global_features.txt", "name, dtype, dsize, metric_type", [row])
        for block, vectors in descriptors_of(bundle, ROWS):
            for entry, vector in zip(block, vectors, strict=True):
                file = features / f"{names[entry.id]}.gfeat"
                file.parent.mkdir(parents=True, exist_ok=True)
                vector.astype("<f4").tofile(file)
        rows = [[names[one.id], names[other.id], f"{value:.6f}"] for one, other, value in nearest_pairs(bundle, pairs)]
        _write_kapture(fresh / f"pairs_{KAPTURE_NAME}.txt", "query_image, map_image, score", rows)


def _write_kapture_sensors(folder: Path, entries: Sequence[Entry], names: dict[int, str]) -> None:
    sizes = sorted({(entry.width, entry.height) for entry in entries})
    cameras = {size: f"camera_{size[0]}x{size[1]}" for size in sizes}
    located = [entry for entry in entries if entry.latitude is not None]
    sensors: list[Sequence[object]] = [
        [camera, "", "camera", "UNKNOWN_CAMERA", *size] for size, camera in cameras.items()
    ]
    sensors += [[f"gnss_{camera}", "", "gnss", "EPSG:4326"] for camera in cameras.values()] if located else []
    _write_kapture(folder / "sensors.txt", "sensor_id, name, sensor_type, [sensor_params]+", sensors)
    # the time of capture is unknown, so the ids serve as timestamps; they order the photographs
    taken = [[entry.id, cameras[entry.width, entry.height], names[entry.id]] for entry in entries]
    _write_kapture(folder / "records_camera.txt", "timestamp, device_id, image_path", taken)
    if located:
        # kapture has no value for an unknown height
        places = ([entry.longitude, entry.latitude, entry.altitude or 0.0] for entry in located)
        devices = (f"gnss_{cameras[entry.width, entry.height]}" for entry in located)
        positions = [
            [entry.id, device, *place, 0, 0.0] for entry, device, place in zip(located, devices, places, strict=True)
        ]
        _write_kapture(folder / "records_gnss.txt", "timestamp, device_id, x, y, z, utc, dop", positions)
    for entry in entries:
        if not is_remote(entry.path):
            link = folder / "records_data" / names[entry.id]
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(entry.path)


def _write_kapture(file: Path, header: str, rows: Sequence[Sequence[object]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8") as stream:
        stream.write(f"{KAPTURE_VERSION}\n# {header}\n")
        stream.writelines(", ".join(map(str, row)) + "\n" for row in rows)


def names_in_lists(bundle: Bundle) -> dict[int, str]:
    """The name of each photograph, by id. Raises UsageError if a list of pairs cannot contain one."""
    shortened = SourceNames(bundle.manifest.sources)
    entries = bundle.catalog.all()
    names = check_list_names((shortened.of(entry.path) for entry in entries), "photographs")
    return {entry.id: name for entry, name in zip(entries, names, strict=True)}
