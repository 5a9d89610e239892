"""The training methods, one a file: each holds its loss and its memory, and nothing of the loop."""

from collections.abc import Callable

from torch import nn

from daco_training.loop.settings import TrainSettings
from daco_training.methods.daco import DaCo
from daco_training.methods.method import Method
from daco_training.methods.moco import MoCo
from daco_training.methods.npid import NPID
from daco_training.methods.simclr import SimCLR
from daco_training.methods.simsiam import SimSiam

# the name on the command line -> makes the method for (settings, network in training, number of training images)
METHODS: dict[str, Callable[[TrainSettings, nn.Module, int], Method]] = {
    "daco": lambda s, network, images: DaCo(s.temperature, s.lamda),
    "simclr": lambda s, network, images: SimCLR(s.temperature),
    "simsiam": lambda s, network, images: SimSiam(),
    "moco": lambda s, network, images: MoCo(network, s.negs, s.proj_dim, s.temperature, s.momentum, s.mask_copies),
    "npid": lambda s, network, images: NPID(images, s.negs, s.proj_dim, s.temperature, s.momentum, s.mask_copies),
}


def projection_length(settings: TrainSettings, dimension: int) -> int:
    """How long a projection is: as asked for, but without a head, and with SimSiam's, as long as the descriptor."""
    return dimension if settings.direct or settings.method_name == "simsiam" else settings.proj_dim
