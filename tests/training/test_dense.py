"""Dense DaCo: corresponding cells, their comparisons, and the gradient; moving views."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from daco_core.encoder.config import EncoderConfig
from daco_core.errors import UsageError
from daco_core.photographs.layout import DataSet
from daco_training.city.poses import HORIZONTAL_VIEW, CameraPose, depth_file, write_depth, write_poses
from daco_training.loop.network import LOCAL
from daco_training.loop.settings import TrainOptions
from daco_training.loop.trainer import Trainer
from daco_training.methods.daco import daco_loss
from daco_training.methods.dense import cell_loss, dense_daco_loss, matched_cells
from daco_training.views.augmentation import View, draw_moved_view, render, sometimes_moved, spots
from daco_training.views.dataset import TrainingViews
from daco_training.views.image_store import ImageStore
from daco_training.views.movement import Movement, centres, draw_movement, inside, source_points

HEIGHT, WIDTH = 96, 128


def picture_of_positions() -> torch.Tensor:
    """A picture whose red says x and whose green says y, both from 0 to 255."""
    y, x = torch.meshgrid((torch.arange(HEIGHT) + 0.5) / HEIGHT, (torch.arange(WIDTH) + 0.5) / WIDTH, indexing="ij")
    return 255 * torch.stack([x, y, torch.zeros_like(x)])


def crop(top: int, left: int, height: int, width: int, flip: bool = False) -> View:
    return View(top, left, height, width, jitter=(), grey=False, flip=flip)


def moved(**changes: float) -> View:
    return View(0, 0, HEIGHT, WIDTH, jitter=(), grey=False, flip=False, movement=Movement(**changes))


@pytest.mark.parametrize(
    "view",
    [
        crop(10, 20, 60, 70),
        crop(10, 20, 60, 70, flip=True),
        moved(),
        moved(zoom=1.5, roll=5.0),
        moved(zoom=1.6, yaw=10.0, pitch=-4.0),
        moved(zoom=1.7, yaw=5.0, aside=1.0, ahead=3.0),
    ],
)
def test_a_cell_shows_the_spot_that_the_rendered_view_shows_there(view: View) -> None:
    rendered = render([picture_of_positions()], [view], 64, [0, 0, 0], [1, 1, 1])[0]
    told = spots([view], [(HEIGHT, WIDTH)], 16)[0]
    # the corner between the four middle pixels of a cell of 4 x 4
    seen = functional.avg_pool2d(rendered[None], 4)[0, :2].flatten(1).T
    known = told.isfinite().all(1) & ((told > 0.05) & (told < 0.95)).all(1)
    assert known.float().mean() > 0.6
    torch.testing.assert_close(seen[known], told[known], atol=0.012, rtol=0)


def test_a_view_without_movement_is_the_photograph_and_a_step_ahead_enlarges_near_things() -> None:
    middles = centres(8)
    still, ahead = source_points([Movement(), Movement(ahead=4.0)], middles, [(HEIGHT, WIDTH)] * 2)
    torch.testing.assert_close(still, middles, atol=1e-5, rtol=0)
    middle = torch.tensor([0.5, 0.5])
    nearness = (ahead - middle).norm(dim=1) / (middles - middle).norm(dim=1)
    assert (nearness <= 1 + 1e-4).all()
    edge, centre = nearness.view(8, 8)[4, 0], nearness.view(8, 8)[4, 4]
    assert edge < centre - 0.02, "houses beside the camera move more than the end of the street"


def test_drawn_movements_stay_mostly_within_the_photograph() -> None:
    random = np.random.default_rng(0)
    for _ in range(50):
        movement = draw_movement(random, HEIGHT, WIDTH)
        points = source_points([movement], centres(8), [(HEIGHT, WIDTH)])[0]
        assert inside(points).float().mean() >= 0.8
        assert 1.0 <= movement.zoom <= 1.9


def test_matched_cells_are_each_others_nearest_and_show_the_same_spot() -> None:
    views = [crop(0, 0, 96, 128), crop(0, 64, 96, 64)]  # the whole, and its right half
    told = spots(views, [(HEIGHT, WIDTH)] * 2, 8)
    matched = matched_cells(told[:1], told[1:], near=0.05)
    assert len(matched) == 32, "one for each cell of the right half"
    for photograph, first, second in matched.tolist():
        assert photograph == 0
        assert (told[0, first] - told[1, second]).norm() <= 0.05
        assert (told[0] - told[1, second]).norm(dim=1).argmin() == first
    nowhere = torch.full_like(told[:1], math.nan)
    assert len(matched_cells(nowhere, nowhere)) == 0


def test_the_loss_over_cells_equals_that_of_a_simple_loop() -> None:
    torch.manual_seed(0)
    views = [functional.normalize(torch.randn(3, 16, 8), dim=-1) for _ in range(4)]
    shown = [spots([draw_moved_view(np.random.default_rng(row + 9 * view), HEIGHT, WIDTH) for row in range(3)],
                   [(HEIGHT, WIDTH)] * 3, 4) for view in range(4)]  # fmt: skip
    temperature, lamda = 0.1, 2.0

    def term(one: int, other: int) -> float:
        pairs = []
        for photograph in range(3):
            distance = [[float((a - b).norm()) for b in shown[other][photograph]] for a in shown[one][photograph]]
            distance = [[d if math.isfinite(d) else 1e9 for d in row] for row in distance]
            for cell in range(16):
                nearest = min(range(16), key=lambda c: distance[cell][c])
                back = min(range(16), key=lambda c: distance[c][nearest])
                if back == cell and distance[cell][nearest] <= 0.03:
                    pairs.append((views[one][photograph, cell], views[other][photograph, nearest]))
        assert pairs
        rows = [pair[0] for pair in pairs] + [pair[1] for pair in pairs]
        total = 0.0
        for i, row in enumerate(rows):
            positive = math.exp(float(row @ rows[(i + len(pairs)) % len(rows)]) / temperature)
            total -= math.log(
                positive / sum(math.exp(float(row @ k) / temperature) for j, k in enumerate(rows) if j != i)
            )
        return total / len(rows)

    expected = term(0, 1) + term(2, 3) + lamda * (term(0, 2) + term(0, 3))
    assert float(dense_daco_loss(views, shown, temperature, lamda)) == pytest.approx(expected, rel=1e-4)


def test_without_pairs_the_loss_is_0_and_has_a_gradient() -> None:
    cells = torch.randn(2, 4, 8, requires_grad=True)
    loss = cell_loss(cells, cells, torch.zeros(0, 3, dtype=torch.long), 0.1)
    loss.backward()
    assert loss.item() == 0.0
    assert cells.grad is not None and not cells.grad.any()


def dense_trainer(places: Path, save_root: Path, **changes: object) -> Trainer:
    options = TrainOptions(
        recipe="modern", backbone="test_resnet", pretrained="none", data_root=places, data_name="places",
        save_root=save_root, image_size=64, batch_size=4, iters=2, workers=0, move=1.0, dense=0.5, **changes,
    )  # type: ignore[arg-type]  # fmt: skip
    return Trainer(options.resolve(), "cpu", 1)


def test_a_run_adds_the_loss_over_cells_to_that_over_photographs(places: Path, tmp_path: Path) -> None:
    trainer = dense_trainer(places, tmp_path)
    trainer.network.train()
    batch = trainer.views.draw(next(iter(trainer.batches())))
    assert [points.shape for points in batch.spots] == [(4, 16, 3)] * 4
    outputs = trainer.network(*batch.views, beside=LOCAL)
    whole = daco_loss(*outputs[:4], trainer.settings.temperature, trainer.settings.lamda)
    cells = dense_daco_loss(outputs[4:], batch.spots, trainer.settings.temperature, trainer.settings.lamda)
    loss = trainer.method.loss(trainer.project, *batch)
    assert float(loss) == pytest.approx(float(whole + 0.5 * cells), rel=1e-4)
    assert float(cells) > 0


def test_the_gradient_of_the_loss_over_cells_reaches_the_map_and_what_is_before_it(
    places: Path, tmp_path: Path
) -> None:
    trainer = dense_trainer(places, tmp_path)
    batch = trainer.views.draw(next(iter(trainer.batches())))
    outputs = trainer.network(*batch.views, beside=LOCAL)
    dense_daco_loss(outputs[4:], batch.spots, 0.07, 1.0).backward()
    fine, coarse = trainer.encoder.pooling.reduce
    assert fine.weight.grad is not None and fine.weight.grad.any()
    assert coarse.weight.grad is None, "the coarser map has no local descriptors"
    assert next(trainer.encoder.backbone.parameters()).grad.any()


@pytest.mark.parametrize(
    "wrong",
    [
        {"dense": -1.0},
        {"dense": 1.0, "recipe": "published"},
        {"dense": 1.0, "method_name": "simclr"},
        {"dense": 1.0, "pooling": "gem"},
        {"dense": 1.0, "resize": "shorter"},
    ],
)
def test_dense_is_rejected_for_encoders_without_cells(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="--dense"):
        TrainOptions(**{"recipe": "modern", **wrong}).resolve()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "sentence"), [({"move": 1.5}, "from 0 to 1"), ({"without": ("views",)}, "part views")]
)
def test_impossible_settings_of_move_are_rejected(wrong: dict[str, object], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        TrainOptions(**{"recipe": "modern", "move": 0.5, **wrong}).resolve()  # type: ignore[arg-type]


def test_a_rendered_pair_from_two_poses_shows_common_points_of_the_city(tmp_path: Path) -> None:
    """A wall 10 m ahead, and a second camera that stands 0.84 m, which is one cell of 16, further to the right."""
    cell = 10 * 2 * math.tan(math.radians(HORIZONTAL_VIEW / 2)) / 16
    across, upward = np.meshgrid(np.linspace(-1, 1, 32, endpoint=False) + 1 / 32, np.linspace(1, -1, 24))
    across, upward = (np.tan(math.radians(HORIZONTAL_VIEW / 2)) * values for values in (across, upward * 24 / 32))
    wall = 10 * np.sqrt(1 + across**2 + upward**2)
    for kind, east in (("original", 0.0), ("generated", cell)):
        folder = tmp_path / "town" / kind / "domain_a" / "train"
        folder.mkdir(parents=True)
        Image.new("RGB", (32, 24), "grey").save(folder / "place.png")
        write_poses(folder, {"place.png": CameraPose(east, 0.0, 1.5, 0.0, 0.0, 0.0)})
        write_depth(depth_file(tmp_path / "town", folder / "place.png"), wall)
    dataset = DataSet(tmp_path, "town")
    store = ImageStore(32, torch.device("cpu"), 0.1, 0)

    def draw_all(random: np.random.Generator, height: int, width: int) -> View:
        return crop(0, 0, height, width)

    views = TrainingViews(
        dataset, ("original", "generated"), EncoderConfig(image_size=32), 0, store, draw_all, cells=16
    )
    original, twin = views.draw([(0, 0)]).spots
    columns: dict[int, set[int]] = {}
    for _, first, second in matched_cells(original, twin).tolist():
        assert first // 16 == second // 16, "neither camera looks up"
        columns.setdefault(first % 16, set()).add(second % 16)
    assert columns == {column: {column - 1} for column in range(1, 16)}


def test_sky_and_unrendered_photographs_have_no_points_of_the_city(places: Path) -> None:
    views = TrainingViews(
        DataSet(places, "places"), ("original", "original"), EncoderConfig(image_size=32), 0,
        ImageStore(32, torch.device("cpu"), 0.1, 0), cells=4,
    )  # fmt: skip
    spots_of_views = torch.cat(views.draw([(0, 0)]).spots)
    known = spots_of_views.isfinite().all(-1)
    assert known.any() and not spots_of_views[known][:, 2].any(), "fractions of a photograph, in its plane"


def test_the_given_share_of_views_is_moved() -> None:
    draw, random = sometimes_moved(0.3), np.random.default_rng(0)
    drawn = [draw(random, HEIGHT, WIDTH) for _ in range(200)]
    assert 40 <= sum(view.movement is not None for view in drawn) <= 80
    assert all(view.condition is not None for view in drawn)
