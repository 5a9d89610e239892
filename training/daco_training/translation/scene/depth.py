"""The depth of each pixel: from a depth file if the data set has one, else estimated by a simple model.

The model: a level camera looks along a street over flat ground; pixels are farther away where the dark channel
indicates haze; the sky is at infinity. Source of the dark channel: He, Sun and Tang, "Single Image Haze Removal Using
Dark Channel Prior", CVPR 2009.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.errors import DacoError
from daco_core.photographs.layout import DataSet
from daco_training.translation.scene.filters import guided_filter, local_minimum
from daco_training.translation.scene.sky import find_sky

CENTIMETRES = 100.0  # per metre: the unit of depth in a 16-bit PNG

PATCH_SHARE = 1 / 40  # of the shorter side: half the dark channel's window (15 pixels at 600 x 400 in the paper)
KEPT_HAZE = 0.95  # the paper's omega: a little haze is kept for a natural look
LEAST_PASSED = 0.05  # limits the optical depth to 3
EDGE_EPSILON = 1e-3  # of the guided filter, for a guide with values from 0 to 1
BRIGHTEST = 0.001  # share of the haziest pixels, which give the airlight (the paper's section 4.4)

CAMERA_HEIGHT, HALF_STREET, STREET_END = 1.5, 9.0, 45.0  # metres
FOCAL_SHARE = 0.9  # focal length as a share of the longer side: a field of view of 58 degrees


def depth_of(dataset: DataSet, photograph: Path, image: Image.Image) -> np.ndarray:
    """The depth of each pixel of an original in metres, (h, w) float32: from its file, else estimated.

    Raises:
        DacoError: its file is not a depth map.
    """
    depth = read_depth(dataset, photograph, image.width, image.height)
    return estimate_depth(image) if depth is None else depth


def read_depth(dataset: DataSet, photograph: Path, width: int, height: int) -> np.ndarray | None:
    """The depth of an original from its file in metres, (height, width) float32, infinite for the sky; None without.

    The file has the original's own path below `depth/`, as `NAME.npy` in metres (values that are not finite or not
    positive mean sky) or as a 16-bit grey `NAME.png` in centimetres (0 means sky). A map of another size is scaled.

    Raises:
        DacoError: the file is not a depth map.
    """
    folder = (dataset.folder / "depth" / photograph.relative_to(dataset.folder / "original")).parent
    for suffix, read in ((".npy", _read_array), (".png", _read_png)):
        file = folder / f"{photograph.stem}{suffix}"
        if not file.is_file():
            continue
        try:
            metres = read(file)
        except (OSError, ValueError, SyntaxError) as error:
            raise DacoError(f"{file} is not a depth map: {error}") from error
        rows = np.arange(height) * metres.shape[0] // height
        columns = np.arange(width) * metres.shape[1] // width
        metres = metres[rows[:, None], columns]
        return np.where(np.isfinite(metres) & (metres > 0), metres, np.inf).astype(np.float32)
    return None


def _read_array(file: Path) -> np.ndarray:
    metres: np.ndarray = np.load(file, allow_pickle=False)
    if metres.ndim != 2 or metres.dtype.kind not in "fiu":
        raise ValueError(f"it contains {metres.dtype} of shape {metres.shape}, not numbers of shape (height, width)")
    return metres


def _read_png(file: Path) -> np.ndarray:
    with Image.open(file) as image:
        if not image.mode.startswith("I"):
            raise ValueError(f"its pixels have mode {image.mode}, not 16-bit grey")
        return np.asarray(image, dtype=np.float32) / CENTIMETRES


def estimate_depth(image: Image.Image) -> np.ndarray:
    """Estimates the depth in metres, (h, w) float32, from one clear photograph; infinite for the sky."""
    pixels = np.asarray(image, dtype=np.float32) / 255.0
    height, width = pixels.shape[:2]
    haze = -np.log(haze_transmission(pixels, estimate_airlight(pixels)))
    focal = FOCAL_SHARE * max(height, width)
    aside = np.abs(np.arange(width, dtype=np.float32) - (width - 1) / 2)
    # in inverse metres, which are proportional to a pixel's distance from the vanishing point
    nearness = 1.0 / STREET_END + aside / (HALF_STREET * focal)
    street = (1.0 + haze) / nearness
    # nothing that stands on the ground is farther away than the ground in front of it
    metres = np.minimum(street, ground_depth(height, width))
    sky = find_sky(image, night=False)
    # a pixel that is partly sky transmits correspondingly less: distances at which the light fades equally
    distance: np.ndarray = metres / np.maximum(1.0 - sky, 1e-6)
    return distance.astype(np.float32)


def ground_depth(height: int, width: int) -> np.ndarray:
    """The distance in metres of flat ground in front of a level camera per row, (h, 1); infinite above the horizon."""
    below_horizon = np.maximum(np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2, 0.0)
    metres: np.ndarray = CAMERA_HEIGHT * FOCAL_SHARE * max(height, width) / np.maximum(below_horizon, 1e-3)
    return metres


def estimate_airlight(pixels: np.ndarray) -> np.ndarray:
    """The colour of the airlight, (3,): the mean of the haziest thousandth of the pixels of (h, w, 3)."""
    haze = dark_channel(pixels)
    count = max(int(haze.size * BRIGHTEST), 1)
    haziest = np.argpartition(haze.ravel(), -count)[-count:]
    airlight: np.ndarray = pixels.reshape(-1, 3)[haziest].mean(axis=0)
    bounded: np.ndarray = np.maximum(airlight, 1e-3)
    return bounded


def haze_transmission(pixels: np.ndarray, airlight: np.ndarray) -> np.ndarray:
    """The share of light that the air transmits, (h, w) from LEAST_PASSED to 1: the paper's equation 12.

    Instead of the paper's soft matting, the later guided filter of its authors is used.
    """
    passed = 1.0 - KEPT_HAZE * dark_channel(pixels / airlight)
    smooth = guided_filter(pixels.mean(axis=2), passed, 4 * _patch_radius(pixels), EDGE_EPSILON)
    bounded: np.ndarray = np.clip(smooth, LEAST_PASSED, 1.0)
    return bounded


def dark_channel(pixels: np.ndarray) -> np.ndarray:
    """The minimum of the three colours in a window around each pixel, (h, w, 3) to (h, w): the paper's equation 5."""
    return local_minimum(pixels.min(axis=2), _patch_radius(pixels))


def _patch_radius(pixels: np.ndarray) -> int:
    return max(int(min(pixels.shape[:2]) * PATCH_SHARE + 0.5), 1)
