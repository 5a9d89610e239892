"""One list of formats for all commands and the server: what is read and ignored, and effects of missing packages."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.photographs import formats
from daco_core.photographs.formats import (
    FORMATS,
    count_left_out,
    find_format,
    foreign_kind,
    formats_in_words,
    left_out_sentence,
    media_type,
    readable_formats,
    readable_suffixes,
)
from daco_core.photographs.images import UnreadableImage, list_below, open_reduced, open_rgb
from daco_core.photographs.positions import read_positions
from tests.phone_files import ALTITUDE, HEADING, HEIC, LATITUDE, LONGITUDE, SIZE

MADE_BY_PILLOW = [one for one in FORMATS if one.name != "HEIC"]


def picture() -> Image.Image:
    ramp = np.linspace(0, 255, 64 * 48 * 3).reshape(48, 64, 3)
    return Image.fromarray(ramp.astype(np.uint8))


@pytest.mark.parametrize("one", MADE_BY_PILLOW, ids=lambda one: one.name)
def test_every_format_is_known_by_its_bytes_and_read_from_a_file_and_from_memory(
    one: formats.ImageFormat, tmp_path: Path
) -> None:
    file = tmp_path / f"a{one.suffixes[0]}"
    picture().save(file, one.pillow)
    content = file.read_bytes()
    assert find_format(content) == one and foreign_kind(content) is None
    for image in (open_rgb(file), open_reduced(file, 64, content)[0]):
        assert image.size == (64, 48)
        assert np.abs(np.asarray(image, dtype=int) - np.asarray(picture(), dtype=int)).mean() < 12
    assert media_type(file.suffix.upper()) == one.media_type


def test_a_photograph_taken_with_a_phone_is_upright_and_has_its_position(tmp_path: Path) -> None:
    file = tmp_path / "IMG_0001.HEIC"
    file.write_bytes(HEIC)
    assert find_format(HEIC) == FORMATS[-1] and list_below(tmp_path).images == [file]
    image, size = open_reduced(file, 64, HEIC)
    assert image.size == size == SIZE == open_rgb(file).size
    pixels = np.asarray(image, dtype=int)
    # turned clockwise: what was the upper left quarter is the upper right one
    assert pixels[4:28, 28:44, 2].mean() > 180 > 80 > pixels[40:60, 4:20, 2].mean()
    (location,) = read_positions(tmp_path).values()
    assert (location.latitude, location.longitude) == (LATITUDE, LONGITUDE)
    assert (location.altitude, location.heading) == (ALTITUDE, HEADING)


@pytest.fixture
def without_heif(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    caches = formats._is_readable, readable_suffixes, formats.pillow_formats
    with monkeypatch.context() as changed:
        changed.setattr(formats, "HEIF_PACKAGES", ("no_such_package",))
        for one in caches:
            one.cache_clear()
        yield
    for one in caches:
        one.cache_clear()


@pytest.mark.usefixtures("without_heif")
def test_without_pi_heif_heic_is_skipped_or_rejected_with_a_hint_to_the_extra(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(HEIC)
    contents = list_below(tmp_path)
    assert contents.images == [] and contents.left_out == {"HEIC": 1}
    assert "pip install 'daco-serve[heif]'" in left_out_sentence(contents.left_out)
    with pytest.raises(UnreadableImage, match=r"daco-serve\[heif\]"):
        open_rgb(tmp_path / "a.heic")
    assert "HEIC" not in formats_in_words()


def test_skipped_files_are_counted_by_kind_except_tables_and_system_files(tmp_path: Path) -> None:
    names = ["a.jpg", "b.MOV", "c.mov", "d.txt", "e", "walk.csv", "walk.gpx", "frame.json", ".DS_Store", "Thumbs.db"]
    (tmp_path / "north").mkdir()
    for name in (*names, "north/f.dng", "north/g.mov", ".hidden.mov"):
        (tmp_path / name).write_bytes(b"x")
    contents = list_below(tmp_path)
    assert [image.name for image in contents.images] == ["a.jpg"]
    assert contents.left_out == {"MOV": 3, "TXT": 1, "without a suffix": 1, "DNG": 1}
    assert left_out_sentence({"HEIC": 3, "MOV": 2, "TXT": 1}) == (
        "left out: 3 HEIC (pip install 'daco-serve[heif]'), 2 MOV, 1 TXT"
    )
    assert left_out_sentence({}) == "" and count_left_out(["a.PNG"]) == {}


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"GIF89a", "GIF"),
        (b"\0\0\0\x14ftypqt  ", "video"),
        (b"\0\0\0\x18ftypmp42", "video"),
        (b"%PDF-1.7", "PDF"),
        (b"II*\0\x10\0\0\0CR\x02\0", "raw (CR2)"),
        (b"words", None),
    ],
)
def test_unsupported_kinds_of_files_are_named(content: bytes, kind: str | None, tmp_path: Path) -> None:
    assert foreign_kind(content) == kind and find_format(content) is None
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(UnreadableImage) as caught:
        open_rgb(tmp_path / "a.jpg")
    assert (kind or "cannot") in str(caught.value)


def test_an_avif_file_in_a_common_container_is_no_heic_file() -> None:
    buffer = BytesIO()
    picture().save(buffer, "AVIF")
    content = buffer.getvalue()
    common = content[:8] + b"mif1" + content[12:]
    found = find_format(common)
    assert found is not None and found.name == "AVIF"
    assert [one.name for one in readable_formats()][:3] == ["JPEG", "PNG", "WebP"]
