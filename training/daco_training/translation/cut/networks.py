"""The three networks of a direction: generator, discriminator, and the heads for comparing patches.

Source: Park et al., ECCV 2020, appendix C, after Johnson et al., ECCV 2016 (the generator) and Isola et al., CVPR 2017
(the 70x70 PatchGAN). Upsampling uses nearest neighbours and convolutions, which avoids checkerboard artefacts.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

MULTIPLE = 4  # the generator halves its image twice
PATCHES = 256  # positions in an image that are compared with each other
HEAD_WIDTH = 256
INITIAL_SPREAD = 0.02  # standard deviation of the initial weights


class ResidualBlock(nn.Module):
    """Two convolutions, added to their input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_convolution(channels, channels, 3), *_convolution(channels, channels, 3)[:-1])

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = features + self.body(features)
        return out


class Generator(nn.Module):
    """Translates a photograph to the other domain: convolution, two halvings, residual blocks, two doublings.

    Shape: (n, 3, h, w) to the same, both in -1 to 1; h and w are multiples of 4.

    Args:
        width: channels of the first layer; 64 in the paper.
        blocks: residual blocks; 9 in the paper.
    """

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        stem = nn.Sequential(*_convolution(3, width, 7))
        halvings = [nn.Sequential(*_convolution(width * f, width * f * 2, 3, stride=2)) for f in (1, 2)]
        residual = [ResidualBlock(4 * width) for _ in range(blocks)]
        self.encoder = nn.ModuleList([stem, *halvings, *residual])
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2),
            *_convolution(4 * width, 2 * width, 3),
            nn.Upsample(scale_factor=2),
            *_convolution(2 * width, width, 3),
            *_convolution(width, 3, 7, plain=True),
            nn.Tanh(),
        )
        # the five layers of the paper: pixels, both halvings, the first and a middle residual block
        self.compared = (1, 2, 3, 3 + blocks // 2)
        self.channels = [3, 2 * width, 4 * width, 4 * width, 4 * width]
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        return self.translate(images)[0]

    def translate(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """The translated images, and the encoder's features for comparing patches."""
        features, compared = self._encode(images)
        return self.decoder(features), compared

    def features(self, images: Tensor) -> list[Tensor]:
        """The five feature maps for comparing patches, each (n, channels, h', w')."""
        return self._encode(images)[1]

    def _encode(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        features, compared = images, [images]
        for number, stage in enumerate(self.encoder):
            features = stage(features)
            if number in self.compared:
                compared.append(features)
        return features, compared


class Discriminator(nn.Sequential):
    """Classifies each 70x70 patch of an image: (n, 3, h, w) to (n, 1, h/8 - 2, w/8 - 2), 1 for real, 0 for fake."""

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for narrow, wide, stride in ((width, 2 * width, 2), (2 * width, 4 * width, 2), (4 * width, 8 * width, 1)):
            layers += [nn.Conv2d(narrow, wide, 4, stride, 1), nn.InstanceNorm2d(wide), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))
        _initialise(self)


class PatchHeads(nn.Module):
    """Maps features at chosen positions to unit vectors, by a two-layer perceptron for each feature map."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(nn.Linear(c, HEAD_WIDTH), nn.ReLU(), nn.Linear(HEAD_WIDTH, HEAD_WIDTH)) for c in channels
        )
        _initialise(self)

    def forward(self, features: Sequence[Tensor], places: Sequence[Tensor]) -> list[Tensor]:
        """(n, c, h, w) each, at flat `places` (p,) each, to (n, p, HEAD_WIDTH) each."""
        return [
            functional.normalize(head(feature.flatten(2)[..., place].transpose(1, 2)), dim=-1)
            for head, feature, place in zip(self.heads, features, places, strict=True)
        ]


def draw_places(features: Sequence[Tensor], random: torch.Generator) -> list[Tensor]:
    """Up to PATCHES different flat positions in each feature map, the same for all images in a batch."""
    places = []
    for feature in features:
        size = feature.shape[2] * feature.shape[3]
        places.append(torch.randperm(size, generator=random)[:PATCHES].to(feature.device))
    return places


def _convolution(narrow: int, wide: int, kernel: int, stride: int = 1, plain: bool = False) -> list[nn.Module]:
    convolution = nn.Conv2d(narrow, wide, kernel, stride, kernel // 2, padding_mode="reflect")
    return [convolution] if plain else [convolution, nn.InstanceNorm2d(wide), nn.ReLU()]


def _initialise(network: nn.Module) -> None:
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.normal_(module.weight, 0.0, INITIAL_SPREAD)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
