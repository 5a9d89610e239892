"""Grid pooling, and its initial principal components."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.pooling import GridPooling, PlacePooling
from daco_training.encoder.whitening import whiten

BACKBONE = "test_resnet"


def grid_encoder(backbone: str = BACKBONE) -> Encoder:
    torch.manual_seed(0)
    return Encoder(EncoderConfig(backbone, "grid", 64, "square")).eval()


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("photographs")
    for number in range(24):
        blocks = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((96, 72)).save(folder / f"{number}.png")
    return sorted(folder.iterdir())


def test_a_descriptor_has_the_same_length_for_every_shape_of_photograph() -> None:
    encoder = grid_encoder()
    for sides in ((64, 64), (64, 128), (160, 64)):
        descriptors = encoder(torch.rand(2, 3, *sides))
        assert descriptors.shape == (2, encoder.dimension)
        assert torch.allclose(descriptors.norm(dim=1), torch.ones(2), atol=1e-5)


def test_moving_an_object_changes_the_descriptor_of_a_grid_but_not_that_of_an_average() -> None:
    left = torch.zeros(1, 3, 64, 64)
    left[..., 16:48, 8:24] = 1.0
    grid = grid_encoder()
    average = Encoder(EncoderConfig(BACKBONE, "avg", 64, "square")).eval()
    average.backbone.load_state_dict(grid.backbone.state_dict(), strict=False)
    with torch.inference_mode():
        same = [float(encoder(left) @ encoder(left.roll(32, dims=-1)).T) for encoder in (grid, average)]
    assert same[0] < same[1]


def test_the_first_and_last_row_can_have_less_weight() -> None:
    encoder = grid_encoder()
    assert isinstance(encoder.pooling, GridPooling)
    image = torch.rand(1, 3, 64, 64)
    whole = encoder(image).view(2, 4, 4, 64).norm(dim=-1)
    assert torch.allclose(whole, whole.mean().expand_as(whole), atol=1e-5)
    encoder.pooling.favour_the_middle()
    rows = encoder(image).view(2, 4, 4, 64).norm(dim=-1)
    assert torch.allclose(rows / rows[:, 1:2], torch.tensor([0.8, 1, 1, 0.8])[:, None].expand(4, 4), atol=1e-5)


@pytest.mark.parametrize("favoured", [True, False])
def test_an_encoder_stores_the_weights_of_rows_and_older_encoders_keep_their_fingerprint(
    favoured: bool, tmp_path: Path
) -> None:
    encoder = grid_encoder()
    assert isinstance(encoder.pooling, GridPooling)
    if favoured:
        encoder.pooling.favour_the_middle()
    encoder.save(tmp_path / "encoder")
    loaded = Encoder.load(tmp_path / "encoder")
    assert loaded.fingerprint == encoder.fingerprint
    assert ("pooling.lengths" in load_file(tmp_path / "encoder" / "model.safetensors")) is favoured
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(loaded(image), encoder(image))
    other = grid_encoder()
    assert isinstance(other.pooling, GridPooling)
    other.pooling.favour_the_middle()
    other.load_state_dict(encoder.state_dict())  # as a run that is resumed
    assert torch.equal(other(image), encoder(image))


def test_place_pooling_adds_numbers_that_stay_when_the_picture_shifts() -> None:
    torch.manual_seed(0)
    encoder = Encoder(EncoderConfig(BACKBONE, "place", 64, "square")).eval()
    assert isinstance(encoder.pooling, PlacePooling)
    image = torch.zeros(1, 3, 64, 64)
    image[..., 16:48, 8:24] = torch.rand(3, 32, 16)
    with torch.inference_mode():
        features = [encoder.features(view) for view in (image, image.roll(32, dims=-1))]
    cells = encoder.pooling.dimension - encoder.pooling.whole_width
    (grid, moved_grid), (whole, moved_whole) = ([part[:, of] for part in features] for of in (
        slice(None, cells), slice(cells, None)))  # fmt: skip
    assert encoder.dimension == features[0].shape[1] == cells + 512
    assert grid.norm().item() == pytest.approx(1, abs=1e-5)
    assert whole.norm().item() == pytest.approx(encoder.pooling.share, abs=1e-5)
    same_grid, same_whole = (functional.cosine_similarity(*pair).item() for pair in (
        (grid, moved_grid), (whole, moved_whole)))  # fmt: skip
    assert same_whole > same_grid + 0.02


def test_whitening_initialises_the_map_of_the_whole_picture_too(photographs: list[Path]) -> None:
    encoder = Encoder(EncoderConfig(BACKBONE, "place", 64, "square")).eval()
    images = torch.stack([encoder.prepare(Image.open(file).convert("RGB")) for file in photographs])
    whiten(encoder, photographs)
    assert isinstance(encoder.pooling, PlacePooling)
    with torch.inference_mode():
        rows = encoder.pooling.whole(encoder.pooling.means(encoder.feature_maps(images))).double()
    assert rows.mean(0).norm() < 1e-3 * rows.norm(dim=1).mean()
    assert torch.corrcoef(rows[:, :8].mT).fill_diagonal_(0).abs().max() < 0.01


def test_layers_that_the_grid_does_not_use_are_removed() -> None:
    assert not any("conv_head" in name for name in grid_encoder("tf_efficientnet_lite0").state_dict())


def test_a_backbone_without_the_feature_maps_is_rejected_in_one_sentence() -> None:
    with pytest.raises(DacoError, match="needs 2 feature maps"):
        Encoder(EncoderConfig("vit_tiny_patch16_224", "grid", 64))


def test_whitening_centres_the_cells_of_the_photographs_and_makes_their_channels_independent(
    photographs: list[Path],
) -> None:
    encoder = grid_encoder()
    images = torch.stack([encoder.prepare(Image.open(file).convert("RGB")) for file in photographs])

    @torch.inference_mode()
    def off_centre_and_correlation() -> tuple[float, float]:
        pooling = encoder.pooling
        assert isinstance(pooling, GridPooling)
        reduced = pooling.reduce[0](pooling.average(encoder.feature_maps(images))[0].flatten(0, 1)).double()
        correlations = torch.corrcoef(reduced[:, :8].mT).fill_diagonal_(0).abs()
        return float(reduced.mean(0).norm() / reduced.norm(dim=1).mean()), float(correlations.max())

    before = off_centre_and_correlation()
    whiten(encoder, photographs)
    after = off_centre_and_correlation()
    assert after[0] < 1e-3 < before[0]
    assert after[1] < 0.01 < before[1]


def test_whitening_works_with_photographs_of_several_shapes_and_with_few_channels(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(8)]
    for number, file in enumerate(files):
        shape = (48, 80, 3) if number % 3 else (80, 48, 3)
        Image.fromarray(random.integers(0, 255, shape, dtype=np.uint8)).save(file)
    encoder = Encoder(EncoderConfig("mobilenetv3_small_050", "grid", 64, "shorter"))
    whiten(encoder, files)
    assert isinstance(encoder.pooling, GridPooling)
    fine = encoder.pooling.reduce[0].weight
    assert fine.shape[1] < len(fine)
    assert (fine[: fine.shape[1]].norm(dim=1) > 0).all() and not fine[fine.shape[1] :].any()


def test_the_same_photographs_give_the_same_encoder(photographs: list[Path]) -> None:
    first, second = grid_encoder(), grid_encoder()
    whiten(first, photographs)
    whiten(second, photographs)
    assert first.fingerprint == second.fingerprint


def test_a_packed_encoder_has_half_the_size_and_nearly_the_same_descriptors(tmp_path: Path) -> None:
    encoder = grid_encoder()
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before = encoder(image)
    encoder.save(tmp_path / "whole")
    encoder.save(tmp_path / "packed", half=True)
    sizes = [(tmp_path / name / "model.safetensors").stat().st_size for name in ("whole", "packed")]
    assert sizes[1] < 0.6 * sizes[0]
    packed = Encoder.load(tmp_path / "packed")
    with torch.inference_mode():
        assert float(packed(image) @ before.T) > 0.999
