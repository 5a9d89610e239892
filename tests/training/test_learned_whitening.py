"""Learned whitening: what differs between photographs of one place is shortened, and nothing else."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import DacoError, NotFound, UsageError
from daco_core.photographs.layout import DataSet
from daco_training.encoder.averaging import average_encoders
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.learned_whitening import STRENGTH, WIDTH, fit_learned_whitening
from daco_training.views.same_place import PAIRS, twin_differences, viewpoint_differences, whiten_encoder

CONFIG = EncoderConfig("test_resnet", "place", 64, "square")


def encoder(seed: int = 0) -> Encoder:
    torch.manual_seed(seed)
    return Encoder(CONFIG).eval()


def picture(file: Path, seed: int, darker: int = 1) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), dtype=np.uint8) // darker
    Image.fromarray(blocks).resize((64, 48)).save(file)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs with darker twins; and two places in two conditions, from two viewpoints each."""
    folder = tmp_path_factory.mktemp("data")
    for number in range(3):
        picture(folder / f"streets/original/domain_a/train/{number}.png", number)
        picture(folder / f"streets/generated/domain_a/train/{number}.png", number, darker=4)
    for number in range(2):
        for kind, seed in (("original", 10), ("viewpoint/5m_30deg", 20)):
            for domain, darker in (("domain_a", 1), ("domain_b", 4)):
                picture(folder / f"city/{kind}/{domain}/train/place{number}.png", seed + number, darker)
    (folder / "city/original/domain_a/val").mkdir(parents=True)
    return folder


def test_directions_are_shortened_by_their_variance_and_others_stay() -> None:
    variances = torch.tensor([9.0, 4.0, 1.0])
    directions, _ = torch.linalg.qr(torch.randn(8, 4, generator=torch.Generator().manual_seed(0)))
    differences = (3 * variances).sqrt()[:, None] * directions[:, :3].T
    whitening = fit_learned_whitening([differences])
    expected = (1 + STRENGTH * variances / variances.mean()).rsqrt()[:, None] * directions[:, :3].T
    assert torch.allclose(whitening(directions[:, :3].T), expected, atol=1e-5)
    assert torch.allclose(whitening(directions[:, 3:].T), directions[:, 3:].T, atol=1e-5)


def test_all_sets_have_the_same_weight_however_many_pairs_they_have() -> None:
    first, second = torch.eye(6)[:1], torch.eye(6)[1:2]
    few, many = fit_learned_whitening([first, second]), fit_learned_whitening([first.repeat(50, 1), second])
    assert torch.allclose(few(torch.eye(6)), many(torch.eye(6)), atol=1e-6)


def test_no_more_directions_are_kept_than_the_limit() -> None:
    differences = torch.randn(WIDTH + 40, WIDTH + 20, generator=torch.Generator().manual_seed(0))
    assert fit_learned_whitening([differences]).directions.shape == (WIDTH + 20, WIDTH)


def test_photographs_of_a_place_become_more_alike_than_those_of_different_places(root: Path) -> None:
    made = encoder()
    city = DataSet(root, "city")
    before = viewpoint_differences(made, city).norm(dim=1).mean()
    whiten_encoder(made, root, None, "city")
    assert viewpoint_differences(made, city).norm(dim=1).mean() < 0.8 * before


def test_every_pair_of_a_place_is_used_and_four_pairs_of_a_photograph_with_its_twin(root: Path) -> None:
    made = encoder()
    assert len(viewpoint_differences(made, DataSet(root, "city"))) == 2 * 6
    differences = twin_differences(made, DataSet(root, "streets"))
    assert len(differences) == 3 * len(PAIRS)
    assert torch.equal(differences, twin_differences(made, DataSet(root, "streets")))
    assert not torch.equal(differences, twin_differences(made, DataSet(root, "streets"), seed=1))


def test_a_whitened_encoder_is_saved_and_loaded_and_runs_without_pytorch(root: Path, tmp_path: Path) -> None:
    from daco_core.encoder.stored import open_encoder
    from daco_index.embedding.engines.openvino import OpenVinoEngine

    made = whiten_encoder(encoder(), root, "streets", "city")
    plain = encoder()
    made.save(tmp_path / "made", half=True)
    loaded = Encoder.load(tmp_path / "made")
    image = Image.open(root / "streets/original/domain_a/train/0.png")
    descriptor = loaded(loaded.prepare(image)[None]).detach()
    assert loaded.fingerprint == made.fingerprint != plain.fingerprint
    assert not torch.allclose(descriptor, plain(plain.prepare(image)[None]), atol=1e-2)
    engine = OpenVinoEngine(open_encoder(tmp_path / "made"))
    assert np.allclose(engine.embed([image]), descriptor.numpy(), atol=1e-4)


def test_fitting_again_replaces_the_whitening_and_records_its_data(root: Path) -> None:
    once = whiten_encoder(encoder(), root, "streets", "city")
    twice = whiten_encoder(whiten_encoder(encoder(), root, "streets", None), root, "streets", "city")
    assert once.fingerprint == twice.fingerprint
    assert once.config.training["whitened"] == {
        "twins": "streets",
        "viewpoints": "city",
        "seed": 0,
        "differences": [12, 12],
    }


def test_errors_say_which_data_are_missing(root: Path) -> None:
    with pytest.raises(UsageError, match="--data-name"):
        whiten_encoder(encoder(), root, None, None)
    with pytest.raises(NotFound, match="has a twin"):
        whiten_encoder(encoder(), root, "city", None)
    with pytest.raises(NotFound, match="viewpoints"):
        whiten_encoder(encoder(), root, None, "streets")
    with pytest.raises(DacoError, match="different layers"):
        average_encoders(encoder(), whiten_encoder(encoder(), root, None, "city"), 0.5)


def test_the_command_writes_the_new_encoder(root: Path, tmp_path: Path, forked: Path) -> None:
    encoder().save(tmp_path / "trained", network=False)
    options = ["--data-root", str(root), "--data-name", "streets", "--viewpoints", "city"]
    command = [forked / "daco-train", "whiten", tmp_path / "trained", *options, "--out", tmp_path / "whitened"]
    subprocess.run(command, check=True)
    expected = whiten_encoder(encoder(), root, "streets", "city")
    assert Encoder.load(tmp_path / "whitened").fingerprint == expected.fingerprint
