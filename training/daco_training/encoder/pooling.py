"""Pooling: turns the feature maps of a photograph into one vector."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from daco_core.errors import UsageError
from daco_training.encoder.backbones import map_channels

EDGE_LENGTH = 0.8  # chosen among 0.6 to 1 on real and rendered photographs: docs/guide/train.md


class AveragePooling(nn.Module):
    """The mean of the last map over positions: (n, c, h, w) to (n, c)."""

    levels = 1

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.dimension = channels[-1]

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return maps[-1].mean(dim=(-2, -1))


class GeM(nn.Module):
    """Generalised mean of the last map over positions with one learnable exponent: (n, c, h, w) to (n, c).

    Source: Radenovic, Tolias, Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2018, eq. 2.
    """

    levels = 1

    def __init__(self, channels: Sequence[int], exponent: float = 3.0, floor: float = 1e-6) -> None:
        super().__init__()
        self.dimension = channels[-1]
        self.exponent = nn.Parameter(torch.tensor(exponent))
        self.floor = floor

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        powers = maps[-1].float().clamp(min=self.floor).pow(self.exponent)
        return functional.adaptive_avg_pool2d(powers, 1).flatten(1).pow(1.0 / self.exponent)


class GridPooling(nn.Module):
    """Pooling over a grid of cells at two scales: a finer and a coarser map to (n, 2 x 16 x 64).

    Each map is averaged over a grid of cells, and the channels of a cell are reduced by a linear map to a vector of
    length 1 (ConvAP: Ali-bey, Chaib-draa, Giguere, "GSV-Cities", Neurocomputing 2022, section 4.2). The linear maps
    are random at first: `daco_training.encoder.whitening.whiten` sets them, and they may then be trained.

    Args:
        channels: of the maps at strides 16 and 32.
    """

    levels = 2
    cells = (4, 4)
    cell_width = 64

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.reduce = nn.ModuleList([nn.Linear(count, self.cell_width) for count in channels])
        self.dimension = len(channels) * self.cells[0] * self.cells[1] * self.cell_width
        self.lengths: Tensor  # of the cells' vectors
        self._set_lengths(1.0)

    def favour_the_middle(self) -> None:
        """Shortens the vectors of the first and last row, because sky and ground are less distinctive than the rest."""
        self._set_lengths(EDGE_LENGTH)

    def _set_lengths(self, edge: float) -> None:
        lengths = next(self.reduce.parameters()).new_ones(self.cells[0] * self.cells[1], 1)
        lengths[: self.cells[1]] = lengths[-self.cells[1] :] = edge
        # lengths of 1 are not saved, because older encoders and runs have none
        self.register_buffer("lengths", lengths, persistent=edge != 1)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        self._set_lengths(EDGE_LENGTH if f"{prefix}lengths" in state_dict else 1.0)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def average(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The cells of each map, row by row, of length 1: (n, c, h, w) to (n, cells, c)."""
        grids = [functional.adaptive_avg_pool2d(cells.float(), self.cells) for cells in maps]
        return [functional.normalize(grid.flatten(2).transpose(1, 2), dim=-1) for grid in grids]

    def local(self, maps: Sequence[Tensor]) -> Tensor:
        """A descriptor of length 1 for every position of the finer map, row by row: (n, c, h, w) to (n, h w, 64)."""
        cells = functional.normalize(maps[0].float().flatten(2).transpose(1, 2), dim=-1)
        return functional.normalize(self.reduce[0](cells), dim=-1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.reduced(self.average(maps))

    def reduced(self, grids: Sequence[Tensor]) -> Tensor:
        """Combines the cells of each map into one vector: (n, cells, c) each to (n, 2 x 16 x 64)."""
        reduced = [reduce(grid) for reduce, grid in zip(self.reduce, grids, strict=True)]
        return torch.cat([(functional.normalize(cells, dim=-1) * self.lengths).flatten(1) for cells in reduced], dim=-1)


class PlacePooling(GridPooling):
    """The grid, combined with a descriptor that does not depend on positions: (n, 2 x 16 x 64 + 512).

    That part is the generalised mean over positions of both maps, each of length 1, reduced by a linear map that
    whitening sets like those of the grid. It changes little when the camera turns or moves sideways.
    """

    whole_width = 512
    exponent = 3.0
    share = 0.7  # length of that part's vector, relative to the grid's

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__(channels)
        self.whole = nn.Linear(sum(channels), self.whole_width)
        self.dimension += self.whole_width

    def means(self, maps: Sequence[Tensor]) -> Tensor:
        """The generalised means of the maps: (n, c, h, w) each to (n, sum of c)."""
        powers = [level.float().clamp(min=1e-6).pow(self.exponent).mean(dim=(-2, -1)) for level in maps]
        return torch.cat([functional.normalize(power.pow(1 / self.exponent), dim=-1) for power in powers], dim=-1)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        return self.joined(self.reduced(self.average(maps)), self.means(maps))

    def joined(self, grid: Tensor, means: Tensor) -> Tensor:
        """The grid's vector, of length 1, followed by that of the generalised means, of length `share`."""
        whole = functional.normalize(self.whole(means), dim=-1)
        return torch.cat([functional.normalize(grid, dim=-1), self.share * whole], dim=-1)


Pooling = AveragePooling | GeM | GridPooling

POOLINGS: dict[str, type[Pooling]] = {
    "avg": AveragePooling,
    "gem": GeM,
    "grid": GridPooling,
    "place": PlacePooling,
}


def create_pooling(name: str, backbone: nn.Module) -> Pooling:
    """Creates the pooling of that name for the feature maps of a backbone.

    Raises:
        UsageError: there is no such pooling, or the backbone lacks the maps for it.
    """
    if name not in POOLINGS:
        raise UsageError(f"There is no pooling {name!r}: choose {', '.join(POOLINGS)}.")
    pooling = POOLINGS[name]
    return pooling(map_channels(backbone, pooling.levels))
