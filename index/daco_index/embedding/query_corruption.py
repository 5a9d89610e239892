"""Corrupts photographs in the way queries differ from the references that they should find."""

from io import BytesIO

import numpy as np
from PIL import Image, ImageFilter

STRENGTHS = 4  # from 0, hardly changed, to 3


def degraded(image: Image.Image, strength: int, seed: int) -> Image.Image:
    """A shifted, darkened, recoloured, blurred and compressed copy; the same for the same arguments.

    Args:
        image: RGB.
        strength: 0 to STRENGTHS - 1.
        seed: determines the cut-out and the change of colour.
    """
    random = np.random.default_rng([strength, seed])
    amount = (strength + 1) / STRENGTHS
    width, height = image.size
    share = 1 - 0.35 * amount  # of each side that remains
    left, top = random.uniform(0, 1 - share, 2) * (width, height)
    image = image.crop((round(left), round(top), round(left + share * width), round(top + share * height)))
    image = image.filter(ImageFilter.GaussianBlur(0.004 * amount * min(image.size)))
    gains = (1 - 0.75 * amount) * (1 + random.uniform(-0.2, 0.2, 3) * amount)
    pixels = 255 * (np.asarray(image, dtype=np.float32) / 255) ** (1 + 0.3 * amount) * gains
    pixels += random.normal(0, 6 * amount, pixels.shape)
    buffer = BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=round(85 - 55 * amount))
    return Image.open(buffer).convert("RGB")
