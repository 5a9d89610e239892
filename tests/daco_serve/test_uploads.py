"""A large JPEG is decoded small, but never smaller than the encoder needs."""

from io import BytesIO

import pytest
from PIL import Image

from daco_serve.uploads import decode_upload


@pytest.mark.parametrize(
    ("size", "decoded"),
    [
        ((2000, 1600), (500, 400)),  # a quarter; an eighth would leave 200
        ((4000, 3000), (500, 375)),  # an eighth, libjpeg's smallest
        ((600, 450), (600, 450)),
        ((300, 200), (300, 200)),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_the_shorter_side_keeps_what_was_asked_for(size: tuple[int, int], decoded: tuple[int, int], mode: str) -> None:
    buffer = BytesIO()
    Image.new(mode, size).save(buffer, "JPEG")
    image = decode_upload(buffer.getvalue(), max_pixels=20_000_000, least_side=256)
    assert image.size == decoded
    assert image.mode == "RGB"
