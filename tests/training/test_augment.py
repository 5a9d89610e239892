"""Views are drawn and coloured as by torchvision, and therefore as in the published code."""

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as tv

from daco_training.views.augmentation import (
    OPERATIONS,
    View,
    brighten,
    contrast,
    cut,
    draw_view,
    recolour,
    render,
    saturate,
    shift_hue,
)
from daco_training.views.compiled import take_turns, turns_of
from daco_training.views.crops import crop_together

SHAPES = (40, 56), (56, 40), (200, 260), (48, 48)  # some smaller than the view, some larger
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    random = torch.randint(0, 256, (4, 3, 40, 56), generator=generator, dtype=torch.uint8)
    random[:, :, :10] = random[:, :1, :10]  # greys, whose hue is undefined
    random[:, :, 10:12] = 0
    random[:, :, 12:14] = 255
    return random


@pytest.mark.parametrize(
    ("ours", "theirs", "factor"),
    [
        (ours, theirs, factor)
        for ours, theirs, factors in (
            (brighten, tv.adjust_brightness, (0.6, 1.4)),
            (contrast, tv.adjust_contrast, (0.6, 1.4)),
            (saturate, tv.adjust_saturation, (0.0, 0.6, 1.4)),
            (shift_hue, tv.adjust_hue, (-0.1, 0.0, 0.1)),
        )
        for factor in factors
    ],
)
def test_each_change_of_colour_equals_torchvisions(photographs: torch.Tensor, ours, theirs, factor: float) -> None:
    images = photographs.float() / 255
    changed = ours(images.clone(), torch.full((4, 1, 1, 1), factor))
    torch.testing.assert_close(changed, theirs(images, factor), atol=2e-5, rtol=0)


def test_a_view_equals_torchvisions_with_the_same_parameters(photographs: torch.Tensor) -> None:
    jitter = (("hue", 0.05), ("contrast", 1.3), ("brightness", 0.8), ("saturation", 1.2))
    view = View(top=3, left=5, height=20, width=26, jitter=jitter, grey=False, flip=True)
    expected = tv.resized_crop(photographs[0], 3, 5, 20, 26, [32, 32], antialias=True).float() / 255
    expected = tv.adjust_brightness(tv.adjust_contrast(tv.adjust_hue(expected, 0.05), 1.3), 0.8)
    expected = tv.normalize(tv.horizontal_flip(tv.adjust_saturation(expected, 1.2)), list(MEAN), list(STD))
    (rendered,) = render([photographs[0]], [view], 32, MEAN, STD)
    torch.testing.assert_close(rendered, expected, atol=1e-4, rtol=0)


def test_views_computed_together_equal_views_computed_one_by_one(photographs: torch.Tensor) -> None:
    random = np.random.default_rng(0)
    images = [photographs[number % 4] for number in range(16)]
    views = [draw_view(random, 40, 56) for _ in images]
    together = tv.normalize(recolour(cut(images, views, 32) / 255, views), list(MEAN), list(STD))
    torch.testing.assert_close(together, render(images, views, 32, MEAN, STD), atol=1e-5, rtol=0)


def test_compiled_changes_of_colour_equal_uncompiled_ones(photographs: torch.Tensor) -> None:
    random = np.random.default_rng(0)
    views = [draw_view(random, 40, 56) for _ in range(64)]
    assert any(view.grey for view in views)
    assert not all(view.jitter for view in views)
    crops = cut([photographs[number % 4] for number in range(64)], views, 32) / 255
    in_turns = take_turns(crops, torch.tensor([turns_of(view) for view in views]))
    torch.testing.assert_close(in_turns, recolour(crops.clone(), views), atol=1e-5, rtol=0)


def test_crops_computed_together_equal_torchvisions() -> None:
    generator = torch.Generator().manual_seed(0)
    images = [torch.randint(0, 256, (3, *shape), generator=generator, dtype=torch.uint8) for shape in SHAPES * 16]
    random = np.random.default_rng(0)
    views = [draw_view(random, *image.shape[1:]) for image in images]
    boxes = [(view.top, view.left, view.height, view.width) for view in views]
    together = crop_together(images, boxes, [view.flip for view in views], 48)
    for image, box, view, crop in zip(images, boxes, views, together, strict=True):
        expected = tv.resized_crop(image.float(), *box, [48, 48], antialias=True)
        expected = expected.flip(-1) if view.flip else expected
        assert (crop - expected).abs().max() < 0.501, "the nearest whole value"


@pytest.mark.parametrize("count", [1, 5])
def test_values_are_rounded_the_same_for_any_number_of_crops(count: int) -> None:
    stripes = torch.tensor([2, 3], dtype=torch.uint8).repeat(3, 64, 32)
    crops = crop_together([stripes] * count, [(0, 0, 64, 64)] * count, [False] * count, 32)
    assert (crops[..., 1:-1] == 3).all()


def test_draws_have_the_published_probabilities_and_ranges() -> None:
    random = np.random.default_rng(0)
    views = [draw_view(random, 480, 640) for _ in range(4000)]
    shares = [np.mean([bool(view.jitter) for view in views]), np.mean([view.grey for view in views])]
    assert shares == pytest.approx([0.8, 0.2], abs=0.03)
    assert np.mean([view.flip for view in views]) == pytest.approx(0.5, abs=0.03)
    areas = np.array([view.height * view.width / (480 * 640) for view in views])
    ratios = np.array([view.width / view.height for view in views])
    assert areas.min() > 0.19
    assert areas.max() <= 1.0
    assert ratios.min() > 0.74
    assert ratios.max() < 1.35
    assert all(view.top + view.height <= 480 and view.left + view.width <= 640 for view in views)
    jitters = [dict(view.jitter) for view in views if view.jitter]
    for name, (low, high) in {
        "brightness": (0.6, 1.4), "contrast": (0.6, 1.4), "saturation": (0.6, 1.4), "hue": (-0.1, 0.1)
    }.items():  # fmt: skip
        factors = [jitter[name] for jitter in jitters]
        assert low <= min(factors) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(factors) <= high
    assert {next(iter(jitter)) for jitter in jitters} == set(OPERATIONS), "in any order"


def test_crops_have_the_distribution_of_torchvisions() -> None:
    random = np.random.default_rng(0)
    torch.manual_seed(0)
    crop = v2.RandomResizedCrop(32, scale=(0.2, 1.0))
    theirs = [crop.make_params([torch.zeros(3, 90, 160)]) for _ in range(3000)]
    ours = [draw_view(random, 90, 160) for _ in range(3000)]
    for name in ("top", "left", "height", "width"):
        spread = np.quantile([params[name] for params in theirs], [0.1, 0.3, 0.5, 0.7, 0.9])
        own = np.quantile([getattr(view, name) for view in ours], [0.1, 0.3, 0.5, 0.7, 0.9])
        np.testing.assert_allclose(own, spread, atol=5)


def test_a_very_long_photograph_is_cropped_to_its_middle() -> None:
    view = draw_view(np.random.default_rng(0), 10, 1000)
    assert view.height == 10
    assert view.left + view.width / 2 == pytest.approx(500, abs=1)
