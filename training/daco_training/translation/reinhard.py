"""Colour transfer: the mean and standard deviation of a photograph of the other domain, per channel in CIELAB.

Source: Reinhard, Ashikhmin, Gooch and Shirley, "Color Transfer between Images", IEEE CG&A 21(5), 2001, equations 10
and 11. Their l-alpha-beta space uses logarithms, which fail for the black pixels of night photographs; CIELAB (CIE 15)
is equally decorrelated and uses cube roots.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_training.translation.directions import target_photographs
from daco_training.translation.scene.light import to_image, to_linear

# linear sRGB to XYZ (IEC 61966-2-1), with each row divided by its sum so that white is (1, 1, 1)
_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_TO_XYZ = (_TO_XYZ / _TO_XYZ.sum(axis=1, keepdims=True)).astype(np.float32)
_FROM_XYZ = np.linalg.inv(_TO_XYZ)
_KAPPA, _EPSILON = 24389 / 27, 216 / 24389  # of CIE 15: the linear part near black
_LAB = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]], dtype=np.float32)
_FROM_LAB = np.linalg.inv(_LAB)


class ReinhardTranslator:
    """Gives a photograph the colour statistics of a random training photograph of the target domain.

    Raises:
        DacoError: a target domain has no training photographs.
    """

    def __init__(self, dataset: DataSet) -> None:
        self.settings: dict[str, object] = {}
        self._styles = target_photographs(dataset, "reinhard")

    def translate(self, photograph: Path, target: str, random: np.random.Generator) -> Image.Image:
        styles = self._styles[target]
        content = to_lab(to_linear(open_rgb(photograph)))
        style = to_lab(to_linear(open_rgb(styles[int(random.integers(len(styles)))])))
        return to_image(from_lab(transfer_statistics(content, style)))


def transfer_statistics(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Gives `content` the mean and standard deviation of `style` in each channel.

    Args:
        content, style: (h, w, channels); the sizes may differ.
    """
    axes = (0, 1)
    gain = style.std(axes) / np.maximum(content.std(axes), 1e-6)
    moved: np.ndarray = (content - content.mean(axes)) * gain + style.mean(axes)
    return moved


def to_lab(radiance: np.ndarray) -> np.ndarray:
    """Linear sRGB (h, w, 3) to CIELAB under D65: L from 0 to 100."""
    xyz = radiance @ _TO_XYZ.T
    roots = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16.0) / 116.0)
    lab: np.ndarray = roots @ _LAB.T
    lab[..., 0] -= 16.0
    return lab


def from_lab(lab: np.ndarray) -> np.ndarray:
    """CIELAB (h, w, 3) to linear sRGB; colours outside the sRGB gamut are outside 0 to 1."""
    roots = (lab + np.array([16.0, 0.0, 0.0], dtype=lab.dtype)) @ _FROM_LAB.T.astype(lab.dtype)
    cubes = roots**3
    xyz = np.where(cubes > _EPSILON, cubes, (116.0 * roots - 16.0) / _KAPPA)
    radiance: np.ndarray = xyz @ _FROM_XYZ.T
    return radiance
