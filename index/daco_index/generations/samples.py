"""Sample photographs stored in an index for the web page to offer: small copies, which are not references."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from daco_core.errors import NotFound, UsageError
from daco_core.photographs.images import list_images, open_rgb
from daco_index.search.bundle import SAMPLES_FOLDER, Bundle

MOST = 12
SIDE = 1024  # pixels of the longer side
QUALITY = 85


def read_samples(folder: Path) -> list[bytes]:
    """The photographs of a folder as upright JPEGs of at most SIDE pixels, without EXIF.

    Raises:
        DacoError: there is no such folder, it holds no photograph or more than MOST, or one cannot be read.
    """
    if not folder.is_dir():
        raise NotFound(f"There is no folder {folder} with sample photographs.")
    files = list_images(folder)
    if not files:
        raise NotFound(f"The folder {folder} contains no sample photographs.")
    if len(files) > MOST:
        raise UsageError(f"{folder} contains {len(files)} photographs; an index stores at most {MOST} samples.")
    return [_small_jpeg(file) for file in files]


def write_samples(folder: Path, samples: list[bytes] | None, before: Bundle | None) -> None:
    """Writes the samples into a generation; None for those of the previous generation. Raises OSError."""
    kept = (before.samples if before else ()) if samples is None else samples
    if not kept:
        return
    (folder / SAMPLES_FOLDER).mkdir()
    for number, content in enumerate(kept, start=1):
        (folder / SAMPLES_FOLDER / f"{number:02}.jpg").write_bytes(content)


def _small_jpeg(file: Path) -> bytes:
    image = open_rgb(file)
    image.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
