"""Example queries: copied into the index, small, checksummed, and kept in every change."""

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from daco_core.errors import DacoError
from daco_index.build import BuildOptions, build_index
from daco_index.generations.change import remove_photographs
from daco_index.generations.rollback import roll_back
from daco_index.generations.samples import read_samples
from daco_index.search.bundle import Bundle

from .conftest import Photographs


@pytest.fixture
def with_samples(encoder_folder: Path, photographs: Photographs, tmp_path: Path) -> Path:
    photographs(tmp_path / "photographs", 4)
    photographs(tmp_path / "samples", 3, (2000, 1500))
    options = BuildOptions(progress=False, samples=tmp_path / "samples")
    build_index(str(tmp_path / "photographs"), str(encoder_folder), tmp_path / "index", options)
    return tmp_path / "index"


def test_samples_are_small_copies_without_exif(photographs: Photographs, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8825).update({1: "N", 2: (35.0, 30.0, 36.0), 3: "E", 4: (70.0, 15.0, 0.0)})
    (wide,) = photographs(tmp_path / "samples", 1, (3000, 1000), ".jpg")
    with Image.open(wide) as image:
        image.save(wide, exif=exif)
    (sample,) = read_samples(tmp_path / "samples")
    with Image.open(BytesIO(sample)) as small:
        assert (small.format, small.width, small.getexif().get_ifd(0x8825)) == ("JPEG", 1024, {})


def test_samples_are_kept_when_the_index_changes(with_samples: Path, encoder_folder: Path) -> None:
    before = Bundle.open(with_samples).samples
    assert len(before) == 3
    remove_photographs(with_samples, ids=[0])
    assert Bundle.open(with_samples).samples == before
    build_index(
        str(with_samples.parent / "photographs"), str(encoder_folder), with_samples, BuildOptions(progress=False)
    )
    assert Bundle.open(with_samples).samples == before
    roll_back(with_samples)
    assert Bundle.open(with_samples).samples == before


def test_a_damaged_sample_is_detected(with_samples: Path) -> None:
    (file,) = with_samples.glob("generations/*/samples/02.jpg")
    content = bytearray(file.read_bytes())
    content[-20] ^= 1
    file.write_bytes(content)
    with pytest.raises(DacoError, match=r"02\.jpg"):
        Bundle.open(with_samples)


def test_an_invalid_folder_of_samples_is_rejected(photographs: Photographs, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    photographs(tmp_path / "many", 13)
    for name, reason in (
        ("absent", "There is no folder"),
        ("empty", "contains no sample photographs"),
        ("many", "13 photographs; .* at most 12"),
    ):
        with pytest.raises(DacoError, match=reason):
            read_samples(tmp_path / name)
