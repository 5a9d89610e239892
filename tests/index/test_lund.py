"""Real photographs with real EXIF data, if they are available."""

import os
from pathlib import Path

import pytest

from daco_core.photographs.images import open_rgb
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.engines.create import create_engine
from daco_index.references.find import find_references
from daco_index.search.bundle import Bundle


@pytest.fixture(scope="module")
def lund() -> Path:
    shared = Path(os.environ.get("DACO_SHARED", Path(__file__).parents[2].parent / "shared"))
    if not (shared / "photos" / "lund").is_dir():
        pytest.skip(f"the photographs of Lund are not in {shared} (set DACO_SHARED)")
    return shared / "photos" / "lund"


def test_all_photographs_have_their_position(lund):
    found = find_references(str(lund))
    assert len(found) == 29
    assert all(55.698 < (reference.latitude or 0) < 55.700 for reference in found)
    assert all(13.194 < (reference.longitude or 0) < 13.196 for reference in found)


def test_a_photograph_is_found_where_it_was_taken(lund, encoder_folder, tmp_path):
    manifest = build_index(str(lund), str(encoder_folder), tmp_path / "index", BuildOptions(progress=False)).manifest
    assert (manifest.count, manifest.with_location) == (29, 29)
    bundle = Bundle.open(tmp_path / "index")
    best = bundle.search(create_engine(bundle.encoder).embed([open_rgb(lund / "05.jpg")]), 1)[0][0]
    assert best.entry.path == str(lund.resolve() / "05.jpg")
    assert (best.entry.latitude, best.entry.longitude) == pytest.approx((55.698303, 13.195097), abs=1e-5)
    assert (best.entry.width, best.entry.height) == (1024, 768)
