"""Rolling back, verifying, merging and exporting."""

import json

import numpy as np
import pytest

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError
from daco_index.build import BuildOptions, build_index
from daco_index.export.tables import export_geojson, export_parquet
from daco_index.generations.change import remove_photographs
from daco_index.generations.merge import merge_indexes
from daco_index.generations.rollback import list_generations, roll_back
from daco_index.generations.verify import verify_index
from daco_index.search.bundle import Bundle
from daco_training.encoder.encoder import Encoder


def test_a_rollback_is_a_new_generation_and_can_be_rolled_back(own_index):
    remove_photographs(own_index, ids=[3])
    assert roll_back(own_index).generation == 3
    assert Bundle.open(own_index).store.count == 12
    assert roll_back(own_index).count == 11
    assert [(one.generation, one.live) for one in list_generations(own_index)] == [(3, False), (4, True)]
    with pytest.raises(DacoError, match="has no older generation 9"):
        roll_back(own_index, 9)


def test_keep_sets_the_number_of_generations(own_index):
    for number in range(3):
        remove_photographs(own_index, ids=[number], keep=3)
    assert [one.generation for one in list_generations(own_index)] == [2, 3, 4]
    assert roll_back(own_index, 2, keep=3).count == 11


@pytest.mark.parametrize("name", ["vectors.faiss", "catalog.sqlite", "encoder/model.safetensors", "manifest.json"])
@pytest.mark.parametrize("generation", [1, 2])
def test_verify_names_a_damaged_file_of_any_generation(own_index, daco_index, generation, name):
    remove_photographs(own_index, ids=[3])
    assert not [problem for one in verify_index(own_index) for problem in one.problems]
    file = own_index / "generations" / str(generation) / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    problems = {one.generation: one.problems for one in verify_index(own_index)}
    assert file.name in problems[generation][0]
    shared = name.startswith("encoder/")  # the generations share the encoder's files
    assert bool(problems[3 - generation]) == shared


def test_a_merge_contains_both_indexes_and_rejects_other_encoders(
    built, own_index, encoder_folder, photographs, tmp_path
):
    photographs(tmp_path / "s", 4)
    build_index(str(tmp_path / "s"), str(encoder_folder), tmp_path / "b", BuildOptions(progress=False))
    assert merge_indexes([own_index, tmp_path / "b"], tmp_path / "c").count == 16
    assert not verify_index(tmp_path / "c")[0].problems
    Encoder(EncoderConfig(backbone="test_resnet", image_size=64)).eval().save(tmp_path / "e")
    build_index(str(tmp_path / "s"), str(tmp_path / "e"), tmp_path / "d", BuildOptions(progress=False))
    with pytest.raises(DacoError, match="different encoders"):
        merge_indexes([own_index, tmp_path / "d"], tmp_path / "f")


def test_geojson_has_a_feature_for_each_photograph(own_index, tmp_path):
    export_geojson(Bundle.open(own_index), tmp_path / "a.geojson")
    text = (tmp_path / "a.geojson").read_text()
    assert len(features := json.loads(text)["features"]) == 12
    assert {feature["properties"]["path"] for feature in features} == {f"{number:03d}.png" for number in range(12)}
    assert str(tmp_path.parent) not in text, "it says where on this machine the photographs lie"
    for impossible in (tmp_path / "a.geojson" / "b.geojson", tmp_path / ("n" * 300)):
        with pytest.raises(DacoError, match="cannot be written"):
            export_geojson(Bundle.open(own_index), impossible)


def test_parquet_contains_every_photograph_with_its_descriptor(own_index, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")
    bundle = Bundle.open(own_index)
    export_parquet(bundle, tmp_path / "index.parquet")
    rows = parquet.read_table(tmp_path / "index.parquet").to_pylist()
    assert [row["id"] for row in rows] == [entry.id for entry in bundle.catalog.all()]
    vectors = bundle.store.vectors(np.array([row["id"] for row in rows]))
    name = next(name for name, value in rows[0].items() if isinstance(value, list))
    np.testing.assert_array_equal(np.array([row[name] for row in rows], dtype=np.float32), vectors)
