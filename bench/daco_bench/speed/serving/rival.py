"""What both servers of the comparison compute: the same encoder in eager PyTorch and the same index."""

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from daco_core.photographs.images import to_rgb
from daco_index.search.bundle import Bundle
from daco_training.devices import pick_device
from daco_training.encoder.encoder import Encoder

K = 5


class Rival:
    """An index with its encoder in PyTorch, on a GPU if there is one."""

    def __init__(self, index: Path) -> None:
        self.bundle = Bundle.open(index)
        self.device = pick_device()
        self.encoder = Encoder.load(self.bundle.encoder.folder).to(self.device)

    def prepare(self, photograph: bytes) -> Tensor:
        """The bytes of a photograph to (3, h, w)."""
        return self.encoder.prepare(to_rgb(Image.open(BytesIO(photograph))))

    @torch.inference_mode()
    def embed(self, images: Tensor) -> Tensor:
        """(n, 3, h, w) to (n, dimension)."""
        vectors: Tensor = self.encoder(images.to(self.device))
        return vectors.cpu()

    def look_up(self, vector: Tensor) -> dict[str, Any]:
        """A descriptor (dimension,) to an answer."""
        matches = self.bundle.search(vector[None].numpy(), K)[0]
        return {
            "matches": [
                {
                    "rank": match.rank,
                    "similarity": match.similarity,
                    "place": match.entry.place,
                    "latitude": match.entry.latitude,
                    "longitude": match.entry.longitude,
                }
                for match in matches
            ]
        }
