"""Images are preprocessed as in the published code, by torchvision's transforms."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from daco_core.encoder.preparation import Preparation
from daco_core.errors import DacoError

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@pytest.mark.parametrize("resize", ["shorter", "square"])
@pytest.mark.parametrize("size", [(640, 427), (427, 640), (301, 300), (64, 64), (50, 70), (900, 100)])
def test_an_image_is_resized_and_normalised_as_by_torchvision(size: tuple[int, int], resize: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    published = v2.Compose(
        [
            v2.Resize(64 if resize == "shorter" else (64, 64)),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(MEAN), list(STD)),
        ]
    )
    prepared = Preparation(64, resize, MEAN, STD)(Image.fromarray(pixels))  # type: ignore[arg-type]
    assert prepared.dtype == np.float32 and prepared.flags.c_contiguous
    np.testing.assert_allclose(prepared, published(Image.fromarray(pixels)).numpy(), rtol=0, atol=1e-6)


def test_an_extremely_narrow_image_is_rejected_before_it_is_resized() -> None:
    with pytest.raises(DacoError, match="too narrow: 1 x 60000 pixels"):
        Preparation(256, "shorter", MEAN, STD)(Image.new("RGB", (1, 60000)))
