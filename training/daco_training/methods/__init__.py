"""The training methods, one module each: the loss, the views that it needs, and its memory."""

from collections.abc import Callable

from torch import nn

from daco_training.loop.settings import TrainSettings
from daco_training.methods.daco import DaCo
from daco_training.methods.method import Method
from daco_training.methods.moco import MoCo
from daco_training.methods.npid import NPID
from daco_training.methods.simclr import SimCLR
from daco_training.methods.simsiam import SimSiam

# name on the command line -> constructor, called with the settings, the network in training and the number of images
METHODS: dict[str, Callable[[TrainSettings, nn.Module, int], Method]] = {
    "daco": lambda s, network, images: DaCo(s.temperature, s.lamda, s.dense),
    "simclr": lambda s, network, images: SimCLR(s.temperature),
    "simsiam": lambda s, network, images: SimSiam(),
    "moco": lambda s, network, images: MoCo(network, s.negs, s.proj_dim, s.temperature, s.momentum, s.mask_copies),
    "npid": lambda s, network, images: NPID(images, s.negs, s.proj_dim, s.temperature, s.momentum, s.mask_copies),
}


def projection_length(settings: TrainSettings, dimension: int) -> int:
    """The length c of a projection: `proj_dim`; or that of the descriptor, without a head and for SimSiam.

    Args:
        dimension: the length of the descriptor.
    """
    return dimension if settings.direct or settings.method_name == "simsiam" else settings.proj_dim
