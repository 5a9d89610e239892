"""docs/reference/file-formats.md lists every file of an index and an encoder, with all its fields."""

import json
import re
import sqlite3
from pathlib import Path

import pytest

from daco_core.encoder.stored import CONFIG_FILE
from daco_core.photographs.locations import COLUMNS as WORDS
from daco_core.photographs.locations import write_locations
from daco_index.generations.folders import generation_folder, read_current
from daco_index.generations.manifest import FORMAT_VERSION
from daco_index.search.catalog import Entry
from daco_serve.engine.calibration import Calibration

from .pages import ROOT

PAGE = (ROOT / "docs/reference/file-formats.md").read_text()


@pytest.fixture
def generation(workshop: Path) -> Path:
    """The live one of an index that has a small index beside the exact vectors."""
    index = workshop / "maps" / "mine"
    return generation_folder(index, read_current(index).generation)


def test_every_file_of_an_index_is_on_the_page(generation: Path) -> None:
    index = generation.parents[1]
    names = {path.name for path in (*index.iterdir(), *generation.iterdir()) if path.name not in (".embedded",)}
    assert {"CURRENT", "generations", "manifest.json", "vectors.candidates.faiss"} <= names
    for name in names:
        assert name in PAGE, name


def test_every_field_of_encoder_json_is_on_the_page(generation: Path) -> None:
    encoder = generation / "encoder"
    for name in (*json.loads((encoder / CONFIG_FILE).read_text()), *(path.name for path in encoder.iterdir())):
        assert f"`{name}`" in PAGE, name


def test_the_catalogue_has_the_table_shown_on_the_page(generation: Path, tmp_path: Path) -> None:
    (shown,) = re.findall(r"```sql\n(.*?)```", PAGE, flags=re.DOTALL)
    described = sqlite3.connect(tmp_path / "described")
    described.execute(shown)
    real = sqlite3.connect(generation / "catalog.sqlite")
    query = "SELECT name, type, \"notnull\", pk FROM pragma_table_info('photograph')"
    assert described.execute(query).fetchall() == real.execute(query).fetchall()
    assert [row[0] for row in described.execute(query)] == list(Entry._fields)


def test_the_columns_of_positions_are_on_the_page(tmp_path: Path) -> None:
    write_locations(tmp_path, {})
    assert (tmp_path / "locations.csv").read_text().strip() in PAGE
    for word in re.findall(r"understood \(([^)]+)\)", PAGE)[0].replace("`", "").split(", ")[:-1]:
        assert any(word in words for words in WORDS.values()), word


def test_format_versions_and_the_calibration_match_the_page() -> None:
    assert f"**manifest.json** has `format_version` {FORMAT_VERSION}." in PAGE
    for name in ("is_right", "is_on_map", "held_out"):
        assert name in Calibration.model_fields
        assert f"`{name}`" in PAGE
