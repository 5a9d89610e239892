"""Views under random conditions: determined by a seed, of the same place, and different."""

import numpy as np
import pytest
import torch

from daco_training.views.augmentation import draw_place_view, render
from daco_training.views.conditions import apply_condition, draw_condition

PHOTOGRAPH = torch.randint(0, 255, (3, 60, 90), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_a_seed_gives_bit_identical_views_in_any_batch() -> None:
    views = [draw_place_view(np.random.default_rng(seed), 60, 90) for seed in range(12)]
    mean, std = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
    together = render([PHOTOGRAPH] * 12, views, 32, mean, std)
    again = [draw_place_view(np.random.default_rng(seed), 60, 90) for seed in range(12)]
    alone = [render([PHOTOGRAPH], [view], 32, mean, std)[0] for view in again]
    assert all(torch.equal(one, other) for one, other in zip(together, alone, strict=True))


def test_a_view_is_never_mirrored_and_shows_most_of_the_photograph() -> None:
    for seed in range(200):
        view = draw_place_view(np.random.default_rng(seed), 60, 90)
        assert not view.flip
        assert 0 <= view.top <= 60 - view.height and 0 <= view.left <= 90 - view.width
        assert view.height * view.width >= 0.4 * 60 * 90  # half, less what does not fit into the photograph


@pytest.mark.parametrize("seed", range(40))
def test_values_stay_finite_and_in_range(seed: int) -> None:
    for image in (torch.zeros(3, 40, 40), torch.ones(3, 40, 40), PHOTOGRAPH.float() / 255):
        seen = apply_condition(image, draw_condition(np.random.default_rng(seed)))
        assert seen.shape == image.shape and seen.isfinite().all() and seen.min() >= 0 and seen.max() <= 1


def test_views_have_different_conditions() -> None:
    image = PHOTOGRAPH.float() / 255
    seen = [apply_condition(image, draw_condition(np.random.default_rng(seed))) for seed in range(6)]
    assert all(not torch.equal(seen[0], other) for other in seen[1:])
