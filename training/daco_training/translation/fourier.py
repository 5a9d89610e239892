"""Fourier domain adaptation: takes the low-frequency amplitude of a photograph of the other domain.

Source: Yang and Soatto, "FDA: Fourier Domain Adaptation for Semantic Segmentation", CVPR 2020, eq. 1 to 3.
"""

from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_training.translation.directions import target_photographs

BETA = 0.01  # share of the shorter side that counts as low frequency; the paper compares 0.01, 0.05 and 0.09


class FourierTranslator:
    """Gives a photograph the low-frequency amplitude of a random training photograph of the target domain.

    The phase is kept, so edges stay in place: only brightness and colour change, and how they vary slowly in the image.

    Raises:
        DacoError: a target domain has no training photographs.
    """

    def __init__(self, dataset: DataSet, beta: float = BETA) -> None:
        self.settings: dict[str, object] = {"beta": beta}
        self.beta = beta
        self._styles = target_photographs(dataset, "fourier")

    def translate(self, photograph: Path, target: str, random: np.random.Generator) -> Image.Image:
        styles = self._styles[target]
        content = open_rgb(photograph)
        style = open_rgb(styles[int(random.integers(len(styles)))]).resize(content.size, Image.Resampling.BICUBIC)
        swapped = swap_low_frequencies(
            np.asarray(content, dtype=np.float32) / 255.0, np.asarray(style, dtype=np.float32) / 255.0, self.beta
        )
        return Image.fromarray((swapped * 255.0 + 0.5).astype(np.uint8))


def swap_low_frequencies(content: np.ndarray, style: np.ndarray, beta: float) -> np.ndarray:
    """Combines the phase of `content` with the amplitude of `style` at the lowest frequencies.

    Only the few coefficients that change are computed, and the difference is added to the content. The result equals
    that of complete transforms, several times faster.

    Args:
        content, style: (h, w, channels) in 0..1.
        beta: half the window's side as a share of the shorter side of the image.

    Returns:
        (h, w, channels), clipped to 0..1.
    """
    height, width = content.shape[:2]
    reach = min(int(min(height, width) * beta), (min(height, width) - 1) // 2)
    rows, columns = _waves(height, reach), _waves(width, reach)
    spectrum = _transform(content, rows, columns)
    style_amplitude = np.abs(_transform(style, rows, columns))
    change = (style_amplitude - np.abs(spectrum)) * np.exp(1j * np.angle(spectrum)) / (height * width)
    # the imaginary parts of a frequency and its negative cancel, so only the real part of the sum is computed
    down = np.tensordot(rows.conj().T, change, 1)
    added = np.matmul(_parts(columns, 0).T, _parts(down, 1))
    clipped: np.ndarray = (content + added).clip(0.0, 1.0)
    return clipped


def _waves(length: int, reach: int) -> np.ndarray:
    """The Fourier waves of the frequencies -reach..reach, (2 reach + 1, length)."""
    frequencies = np.arange(-reach, reach + 1)[:, None]
    waves: np.ndarray = np.exp(-2j * np.pi * frequencies * np.arange(length) / length).astype(np.complex64)
    return waves


def _transform(image: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The Fourier coefficients (k, l, channels) of an image (h, w, channels) at the given waves."""
    # a small product for each row, because a large one would start its own threads and compete with the pool's
    real, imaginary = np.split(np.matmul(_parts(columns, 0), image), 2, axis=1)
    coefficients: np.ndarray = np.tensordot(rows, real + 1j * imaginary, 1)
    return coefficients


def _parts(values: np.ndarray, axis: int) -> np.ndarray:
    """Real and imaginary parts, concatenated."""
    return np.concatenate([values.real, values.imag], axis)
