"""Finds and reads reconstructions of all supported kinds."""

import struct
from pathlib import Path

from daco_core.errors import DacoError, NotFound, UsageError, reason_of
from daco_core.photographs.reconstructions.camera import Camera
from daco_core.photographs.reconstructions.colmap import is_colmap, read_colmap
from daco_core.photographs.reconstructions.kapture import is_kapture, read_kapture
from daco_core.photographs.reconstructions.transforms import NAME, is_transforms, read_transforms

KINDS = "a COLMAP model (images.bin or images.txt), a kapture folder, or a transforms.json"


def find_reconstruction(folder: Path) -> Path | None:
    """The reconstruction in a folder of photographs or next to it; None if there is none.

    Looks where programs put them: `sparse/0` (COLMAP), `sensors/` above `records_data` (kapture), `transforms.json`.

    Raises:
        UsageError: there are several models, which COLMAP creates if photographs are not connected.
    """
    for base in (folder, folder.parent):
        if (base / "sparse").is_dir() and (model := _model(base / "sparse")) is not None:
            return model
        if is_transforms(base / NAME):
            return base / NAME
    return next((base for base in list(folder.parents)[:2] if folder.name == "records_data" and is_kapture(base)), None)


def read_reconstruction(path: Path) -> list[Camera]:
    """Reads the cameras of a reconstruction.

    Args:
        path: its folder, the folder that contains it (`sparse/`), or its file.

    Raises:
        NotFound: there is none.
        UsageError: there are several.
        DacoError: it cannot be read, or has no cameras.
    """
    if not path.exists():
        raise NotFound(f"There is no reconstruction {path}.")
    try:
        cameras = _read(path)
    except OSError as error:
        raise DacoError(f"{path} cannot be read: {reason_of(error)}.") from error
    except (ValueError, KeyError, TypeError, struct.error) as error:
        raise DacoError(f"{path} cannot be read as a reconstruction: {error}.") from error
    if not cameras:
        raise DacoError(f"{path} contains no camera with a pose.")
    return cameras


def _read(path: Path) -> list[Camera]:
    if path.is_file() and path.suffix.lower() == ".json":
        return read_transforms(path)
    for folder in (path, path / "sparse") if path.is_dir() else ():
        if (model := _model(folder)) is not None:
            return read_colmap(model)
    if is_kapture(path):
        return read_kapture(path)
    if is_transforms(path / NAME):
        return read_transforms(path / NAME)
    raise UsageError(f"{path} is not a reconstruction: give {KINDS}.")


def _model(folder: Path) -> Path | None:
    """The COLMAP model in a folder, or the only one in its subfolders; None if there is none."""
    if is_colmap(folder):
        return folder
    inside = folder.iterdir() if folder.is_dir() else ()
    models = sorted(inner for inner in inside if inner.is_dir() and is_colmap(inner))
    if len(models) > 1:
        names = ", ".join(model.name for model in models)
        raise UsageError(f"{folder} has several models ({names}), each with its own frame: name one of them.")
    return models[0] if models else None
