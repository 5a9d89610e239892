"""The losses, memories and recalls are the published ones, to 1e-4."""

import copy
import doctest
import importlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from daco_core.encoder.config import EncoderConfig
from daco_training.encoder.encoder import Encoder
from daco_training.evaluation.recall import aligned, domain_recalls
from daco_training.loop.network import ContrastiveNetwork, FabricProjector
from daco_training.loop.settings import TrainOptions
from daco_training.methods import METHODS, projection_length
from daco_training.methods.daco import daco_loss
from daco_training.methods.moco import MoCo, moco_loss
from daco_training.methods.npid import NPID
from daco_training.methods.simclr import nt_xent
from daco_training.methods.simsiam import simsiam_loss

from . import published_formulas

TOLERANCE = 1e-4


@pytest.mark.parametrize("module", ["daco", "simclr", "simsiam", "moco"])
def test_the_examples_in_the_docstrings_of_the_losses_run(module: str) -> None:
    result = doctest.testmod(importlib.import_module(f"daco_training.methods.{module}"))
    assert result.attempted > 0
    assert result.failed == 0


@pytest.fixture(scope="module")
def given() -> dict[str, Tensor]:
    """The inputs of the published formulas."""
    return {
        name: torch.from_numpy(np.asarray(value)).float() if name not in ("index", "draw") else torch.as_tensor(value)
        for name, value in published_formulas.inputs().items()
    }


@pytest.fixture(scope="module")
def expected() -> dict[str, Any]:
    """What the published formulas give of them."""
    values: dict[str, Any] = json.loads(published_formulas.VALUES.read_text())
    return values


def test_the_stored_values_equal_the_formulas(expected: dict[str, Any]) -> None:
    found = published_formulas.values()
    assert found.pop("recalls") == expected["recalls"]
    np.testing.assert_allclose(found.pop("npid_bank_after"), expected["npid_bank_after"], atol=1e-6)
    assert found == pytest.approx({name: expected[name] for name in found}, abs=1e-9)


def test_the_formulas_agree_with_the_published_code(shared: Path) -> None:
    with np.load(shared / "reference" / "original_losses.npz") as archive:
        then = {name: np.asarray(archive[name], dtype=np.float64) for name in archive.files}
    o1, o2, g1, g2 = (then[name] for name in ("ori_proj_1", "ori_proj_2", "gen_proj_1", "gen_proj_2"))
    index, draw = then["npid_pos_index"].astype(int), then["npid_draw"].astype(int)
    after = published_formulas.remember(then["npid_bank"], o1, index, 0.5)
    first, normaliser = published_formulas.npid(then["npid_bank"], o1, index, draw, 0.1, 0.0)
    second, _ = published_formulas.npid(after, o2, index, draw, 0.1, normaliser)
    now: dict[str, Any] = {"npid_loss_first": first, "npid_z": normaliser, "npid_loss_second": second}
    now |= {"npid_bank_after": after, "moco_t0.1": published_formulas.moco(o1, o2, then["moco_queue"], 0.1)}
    now["moco_queue_after"] = published_formulas.enqueue(then["moco_queue"], o2)
    for temperature in (0.1, 0.5):
        now[f"simclr_t{temperature}"] = published_formulas.nt_xent(o1, o2, temperature)
        for lamda in (0.3, 0.8):
            now[f"daco_t{temperature}_l{lamda}"] = published_formulas.daco(o1, o2, g1, g2, temperature, lamda)
    found = published_formulas.recalls(then["recall_vectors"], 60)
    now |= {"recall_ab": found["a->b"], "recall_ba": found["b->a"], "recall_cross": found["a<->b"]}
    for name, value in now.items():
        np.testing.assert_allclose(value, then[name], atol=TOLERANCE, err_msg=name)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
def test_the_simclr_loss_equals_the_published_one(
    given: dict[str, Tensor], expected: dict[str, Any], temperature: float
) -> None:
    loss = nt_xent(given["o1"], given["o2"], temperature)
    assert loss.item() == pytest.approx(expected[f"simclr_t{temperature}"], abs=TOLERANCE)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize("lamda", [0.3, 0.8])
def test_the_daco_loss_equals_the_published_one(
    given: dict[str, Tensor], expected: dict[str, Any], temperature: float, lamda: float
) -> None:
    projections = [given[name] for name in ("o1", "o2", "g1", "g2")]
    loss = daco_loss(*projections, temperature=temperature, lamda=lamda)
    assert loss.item() == pytest.approx(expected[f"daco_t{temperature}_l{lamda}"], abs=TOLERANCE)


def test_the_moco_loss_and_queue_equal_the_published_ones(given: dict[str, Tensor], expected: dict[str, Any]) -> None:
    query, key, queue = given["o1"], given["o2"], given["queue"]
    assert moco_loss(query, key, queue, 0.1).item() == pytest.approx(expected["moco_t0.1"], abs=TOLERANCE)
    method = MoCo(nn.Linear(1, 1), negs=len(queue), proj_dim=8, temperature=0.1, momentum=0.999)
    method.queue.copy_(queue)
    method.enqueue(key)
    np.testing.assert_allclose(method.queue, published_formulas.enqueue(queue.numpy(), key.numpy()))


def test_the_npid_loss_normaliser_and_bank_equal_the_published_ones(
    given: dict[str, Tensor], expected: dict[str, Any]
) -> None:
    index, draw = given["index"], given["draw"]
    method = NPID(images=10, negs=7, proj_dim=8, temperature=0.1, momentum=0.5)
    method.bank.copy_(given["bank"])
    first = method.nce(given["o1"], index, draw)
    assert first.item() == pytest.approx(expected["npid_first"], abs=TOLERANCE)
    assert method.normaliser.item() == pytest.approx(expected["npid_normaliser"], rel=1e-6)
    method.remember(given["o1"], index)
    np.testing.assert_allclose(method.bank, expected["npid_bank_after"], atol=TOLERANCE)
    second = method.nce(given["o2"], index, draw)
    assert second.item() == pytest.approx(expected["npid_second"], abs=TOLERANCE)
    assert method.normaliser.item() == pytest.approx(expected["npid_normaliser"], rel=1e-6)


def test_recalls_equal_the_published_ones(given: dict[str, Tensor], expected: dict[str, Any]) -> None:
    recalls = domain_recalls(given["pairs"], aligned(20), first=20, ranks=published_formulas.RANKS)
    for direction, values in expected["recalls"].items():
        assert list(recalls[direction].values()) == pytest.approx(values, abs=TOLERANCE)


class OneLayer(nn.Module):
    """A network small enough to follow by hand, with batch statistics so that the shuffle of a batch shows."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(12, 4), nn.BatchNorm1d(4))

    def forward(self, *views: Tensor) -> tuple[Tensor, ...]:
        return tuple(functional.normalize(self.layers(view), dim=-1) for view in views)


class PlainProjector(OneLayer):
    """One layer that is the encoder, and a second that predicts from it where a method asks for features."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(4, 4)

    def with_features(self, *views: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
        return tuple((self.head(features), features) for features in map(self.layers, views))

    def gather(self, projections: Tensor) -> Tensor:
        return projections

    def precision(self) -> torch.no_grad:
        return torch.no_grad()


def test_moco_key_network_follows_by_momentum_and_the_queue_takes_the_keys_in_order() -> None:
    torch.manual_seed(0)
    network = PlainProjector()
    method = MoCo(network, negs=8, proj_dim=4, temperature=0.1, momentum=0.9)
    assert not any(parameter.requires_grad for parameter in method.key_network.parameters())
    before = copy.deepcopy(method.key_network)
    views = [torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)]
    method.loss(network, views, torch.arange(4)).backward()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(1.0)
    method.after_step()
    parameters = zip(before.parameters(), method.key_network.parameters(), network.parameters(), strict=True)
    for old, new, trained in parameters:
        torch.testing.assert_close(new, 0.9 * old + 0.1 * trained.detach())
    # batch statistics do not depend on the order, so the keys must be those of the unshuffled batch
    (keys,) = before(views[1])
    torch.testing.assert_close(method.queue[-4:], keys.detach())


def test_moco_keys_of_a_frozen_network_initially_equal_its_queries() -> None:
    encoder = Encoder(EncoderConfig("test_resnet", image_size=32))
    network = ContrastiveNetwork(encoder, encoder.dimension, direct=True, frozen=True)
    method = MoCo(network, negs=8, proj_dim=encoder.dimension, temperature=0.1, momentum=0.9)
    network.train()
    view = torch.randn(4, 3, 32, 32)
    torch.testing.assert_close(method.key_network(view)[0], network(view)[0])


def test_moco_with_masked_copies_ignores_an_images_own_older_keys() -> None:
    torch.manual_seed(0)
    network = PlainProjector()
    views = [torch.randn(4, 3, 2, 2), torch.randn(4, 3, 2, 2)]
    index = torch.tensor([3, 0, 7, 5])
    method = MoCo(network, negs=8, proj_dim=4, temperature=0.1, momentum=0.9, mask_copies=True)
    method.loss(network, views, index)
    method.after_step()
    assert method.owners is not None
    assert method.owners.tolist() == [-1] * 4 + index.tolist()
    masked = method.loss(network, views, index)
    (query,), (key,) = network(views[0]), method.key_network(views[1])
    logits = torch.cat([(query * key).sum(1, keepdim=True), query @ method.queue.T], dim=1) / 0.1
    logits[torch.arange(4), 1 + 4 + torch.arange(4)] = float("-inf")  # each query's own older key
    expected = functional.cross_entropy(logits, torch.zeros(4, dtype=torch.long))
    assert masked.item() == pytest.approx(expected.item(), abs=1e-5)
    method.owners.fill_(-1)
    assert method.loss(network, views, index) > masked


def test_npid_with_masked_copies_does_not_use_an_images_own_row_as_a_negative() -> None:
    torch.manual_seed(0)
    projections = functional.normalize(torch.randn(2, 4), dim=-1)
    draw = torch.tensor([[0, 1, 3, 1], [0, 0, 2, 4]])  # image 1 is drawn twice as its own negative, image 2 once
    methods = [NPID(images=5, negs=3, proj_dim=4, temperature=0.1, momentum=0.5, mask_copies=m) for m in (False, True)]
    methods[1].bank.copy_(methods[0].bank)
    for method in methods:
        method.normaliser.fill_(50.0)
    plain, masked = (method.nce(projections, torch.tensor([1, 2]), draw).item() for method in methods)
    own = (methods[0].bank[[1, 2]] * projections).sum(1).div(0.1).exp() / 50.0
    noise = 3 / 5
    left_out = -(noise / (own + noise)).log() @ torch.tensor([2.0, 1.0]) / 2
    assert plain - masked == pytest.approx(left_out.item(), abs=1e-4)


def test_npid_draws_negatives_with_the_image_itself_as_the_positive() -> None:
    method = NPID(images=5, negs=3, proj_dim=4, temperature=0.1, momentum=0.5)
    method.normaliser.fill_(1.0)
    draws = torch.zeros(2, 4, dtype=torch.long), torch.cat([torch.full((2, 1), 4), torch.zeros(2, 3).long()], dim=1)
    projections = functional.normalize(torch.randn(2, 4), dim=-1)
    losses = [method.nce(projections, torch.tensor([1, 2]), draw) for draw in draws]
    assert losses[0] == losses[1], "the drawn first column must be overwritten"


def test_simsiam_loss_is_the_negative_cosine_of_prediction_and_other_view() -> None:
    random = np.random.default_rng(0)
    h1, h2, f1, f2 = random.normal(size=(4, 6, 5)).astype(np.float32)

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.mean([x @ y / np.sqrt(x @ x) / np.sqrt(y @ y) for x, y in zip(a, b, strict=True)]))

    loss = simsiam_loss(*map(torch.from_numpy, (h1, h2, f1, f2)))
    assert loss.item() == pytest.approx(-0.5 * cosine(h1, f2) - 0.5 * cosine(h2, f1), abs=1e-6)
    perfect = torch.from_numpy(f1)
    assert simsiam_loss(perfect, perfect, 3 * perfect, perfect).item() == pytest.approx(-1.0)


def test_simsiam_stops_the_gradient_at_the_predicted_view() -> None:
    predictions = [torch.randn(4, 3, requires_grad=True) for _ in range(2)]
    targets = [torch.randn(4, 3, requires_grad=True) for _ in range(2)]
    simsiam_loss(*predictions, *targets).backward()
    assert all(target.grad is None for target in targets)
    assert all(prediction.grad is not None and prediction.grad.abs().sum() > 0 for prediction in predictions)


def test_simsiam_predicts_the_encoders_features_with_a_head_of_512_numbers() -> None:
    torch.manual_seed(0)
    settings = TrainOptions(method_name="simsiam").resolve()
    encoder = Encoder(EncoderConfig("test_resnet", image_size=32))
    network = ContrastiveNetwork(encoder, projection_length(settings, encoder.dimension))
    first, last = network.head[0], network.head[-1]
    assert (first.in_features, first.out_features, last.out_features) == (encoder.dimension, 512, encoder.dimension)
    assert projection_length(TrainOptions().resolve(), encoder.dimension) == 128, (
        "only SimSiam's head is as long as the features"
    )
    views = [torch.randn(4, 3, 32, 32) for _ in range(2)]
    project = FabricProjector(Fabric(accelerator="cpu"), network)
    loss = METHODS["simsiam"](settings, network, 4).loss(project, views, torch.arange(4))
    f1, f2 = (encoder.features(view) for view in views)  # in training mode, so with each view's own statistics
    expected = simsiam_loss(network.head(f1), network.head(f2), f1, f2)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("name", ["daco", "simclr", "simsiam"])
def test_steps_down_the_gradient_lower_the_loss(name: str) -> None:
    torch.manual_seed(0)
    network = PlainProjector()
    settings = TrainOptions(method_name=name, batch_size=8, negs=16, proj_dim=4).resolve()
    method = METHODS[name](settings, network, 8)
    images = torch.randn(8, 3, 2, 2)
    views = [images + 0.1 * torch.randn_like(images) for _ in method.sources]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.03)
    losses = []
    for step in range(40):
        torch.manual_seed(step % 5)
        loss = method.loss(network, views, torch.arange(8))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()
        losses.append(loss.item())
    start, end = sum(losses[:5]) / 5, sum(losses[-5:]) / 5
    assert end < start - 0.3 * abs(start), losses


@pytest.mark.parametrize("name", ["daco", "simclr", "simsiam", "moco", "npid"])
def test_every_layer_learns_from_the_loss(name: str) -> None:
    network = PlainProjector()
    method = METHODS[name](TrainOptions(method_name=name, negs=16, proj_dim=4).resolve(), network, 8)
    method.loss(network, [torch.randn(8, 3, 2, 2) for _ in method.sources], torch.arange(8)).backward()
    for parameter in network.layers[1].parameters():
        assert parameter.grad is not None
        assert parameter.grad.isfinite().all()
    assert network.layers[1].weight.grad.abs().sum() > 0
