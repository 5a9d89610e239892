"""The cost of an image is computed from the number of pixels in its header."""

import random
from io import BytesIO

import pytest
from PIL import Image

from daco_serve.http.uploads.image_header import decoding_cost, looks_like_image
from tests.phone_files import HEIC


def image(kind: str, size: tuple[int, int], mode: str = "RGB", **settings: object) -> bytes:
    buffer = BytesIO()
    Image.new(mode, size, 90).save(buffer, kind, **settings)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode", "settings", "share"),
    [
        ("PNG", "RGB", {}, 1),
        ("PNG", "L", {}, 1),
        ("WEBP", "RGB", {}, 1),
        ("WEBP", "RGBA", {}, 1),
        ("WEBP", "RGB", {"lossless": True}, 1),
        ("WEBP", "RGB", {"save_all": True, "append_images": [Image.new("RGB", (640, 481))]}, 1),
        ("TIFF", "RGB", {}, 1),
        ("BMP", "RGB", {}, 1),
        ("AVIF", "RGB", {}, 1),
        ("JPEG", "RGB", {}, 4),
        ("JPEG", "L", {"comment": b"x" * 60_000, "exif": b"Exif\0\0" + bytes(60_000)}, 4),
    ],
)
def test_the_cost_of_an_image_is_its_number_of_pixels(
    kind: str, mode: str, settings: dict[str, object], share: int
) -> None:
    content = image(kind, (640, 481), mode, **settings)
    assert decoding_cost(content) == 640 * 481 // share
    assert looks_like_image(content)


def test_each_scan_of_a_progressive_jpeg_counts() -> None:
    content = image("JPEG", (640, 480), progressive=True)
    assert decoding_cost(content) == 640 * 480 * content.count(b"\xff\xda") // 4 > 640 * 480


def test_padding_in_a_jpeg_is_skipped_quickly() -> None:
    content = image("JPEG", (640, 480))
    assert decoding_cost(content[:2] + b"\xff" * 20_000_000 + content[2:]) == 640 * 480 // 4


def test_invalid_and_truncated_images_have_no_cost_and_do_no_harm() -> None:
    chance = random.Random(2)
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF"):
        whole = image(kind, (64, 48))
        for length in range(len(whole)):
            decoding_cost(whole[:length])
        for _ in range(300):
            decoding_cost(bytes(chance.choice((byte, chance.randrange(256))) for byte in whole))
    assert decoding_cost(HEIC) == 64 * 64  # it is coded in squares of that size
    for none in (b"", b"GIF89a", b"x" * 1000, b"\xff\xd8", b"\xff\xd8" + b"\xff" * 100, bytes(50)):
        assert decoding_cost(none) == 0
