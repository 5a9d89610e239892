"""Published third-party encoders that have a short name here, with their sources, sizes and licences.

The sizes are those of the weights, computed from the number of parameters that the repositories' code creates. The
licences are those of the repositories; the data that the weights were trained on may restrict their use further.
"""

from dataclasses import dataclass

from daco_core.encoder.config import HUB_PREFIX
from daco_core.encoder.preparation import Resize


@dataclass(frozen=True)
class PublicEncoder:
    """A network that its authors publish through torch.hub.

    Args:
        name: the short name.
        repository: owner/name on GitHub.
        entry: of its `hubconf.py`, with arguments as in a URL: `entry?backbone=ResNet50`.
        dimension: the length of a descriptor.
        megabytes: the approximate size of the weights.
        image_size: the size of the input, in pixels, at which its authors evaluate it.
        resize: whether photographs are resized to a square, or keep their proportions.
        licence: of the repository.
        paper: where it was published.
    """

    name: str
    repository: str
    entry: str
    dimension: int
    megabytes: int
    image_size: int
    resize: Resize
    licence: str
    paper: str

    @property
    def source(self) -> str:
        """Its long name, `torchhub:REPO:ENTRY`."""
        return f"{HUB_PREFIX}{self.repository}:{self.entry}"


RESNET50 = "get_trained_model?backbone=ResNet50&fc_output_dim=2048"
BOQ = "Ali-bey et al., BoQ, CVPR 2024"

PUBLIC_ENCODERS = {
    encoder.name: encoder
    for encoder in (
        PublicEncoder(
            "megaloc",
            "gmberton/MegaLoc",
            "get_trained_model",
            8448,
            914,
            322,
            "square",
            "MIT",
            "Berton and Masone, MegaLoc, CVPR workshops 2025",
        ),
        PublicEncoder(
            "boq",
            "amaralibey/Bag-of-Queries",
            "get_trained_boq?backbone_name=dinov2&output_dim=12288",
            12288,
            381,
            322,
            "square",
            "MIT",
            BOQ,
        ),
        PublicEncoder(
            "boq-resnet50",
            "amaralibey/Bag-of-Queries",
            "get_trained_boq?backbone_name=resnet50&output_dim=16384",
            16384,
            95,
            384,
            "square",
            "MIT",
            BOQ,
        ),
        PublicEncoder(
            "salad",
            "serizba/salad",
            "dinov2_salad",
            8448,
            352,
            322,
            "square",
            "GPL-3.0",
            "Izquierdo and Civera, SALAD, CVPR 2024",
        ),
        PublicEncoder(
            "eigenplaces",
            "gmberton/EigenPlaces",
            RESNET50,
            2048,
            111,
            480,
            "shorter",
            "MIT",
            "Berton et al., EigenPlaces, ICCV 2023",
        ),
        PublicEncoder(
            "cosplace",
            "gmberton/CosPlace",
            RESNET50,
            2048,
            111,
            480,
            "shorter",
            "MIT",
            "Berton et al., CosPlace, CVPR 2022",
        ),
        PublicEncoder(
            "cosplace-resnet18",
            "gmberton/CosPlace",
            "get_trained_model?backbone=ResNet18&fc_output_dim=512",
            512,
            46,
            480,
            "shorter",
            "MIT",
            "Berton et al., CosPlace, CVPR 2022",
        ),
    )
}
