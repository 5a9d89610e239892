"""Makes twins with the generators that were trained on the data set."""

import hashlib
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from daco_core.errors import DacoError, NotFound
from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_training.devices import pick_device
from daco_training.translation.cut.checkpoint import checkpoint_file, load_state
from daco_training.translation.cut.crops import shrink, to_picture, to_tensor
from daco_training.translation.cut.networks import MULTIPLE, Generator
from daco_training.translation.directions import domain_of, target_of, target_photographs

LEAST_SIDE = 16  # pixels: a generator's features have a quarter of the size, and are normalised over their positions


class CutTranslator:
    """Translates with each direction's generator, in its current state of training.

    Raises:
        DacoError: a direction has no photographs, no model, or a damaged one.
    """

    def __init__(self, dataset: DataSet, device: str = "auto") -> None:
        target_photographs(dataset, "cut")
        self.dataset = dataset
        self._generators = {}
        models: dict[str, object] = {}
        for source in dataset.domains:
            file = checkpoint_file(dataset, source, target_of(source))
            if not file.is_file():
                raise NotFound(
                    f"There is no CUT model {file}: train it with daco-data translate {dataset.name} --method cut."
                )
            self._generators[source] = _load_generator(file).to(pick_device(device)).eval()
            models[file.stem] = _fingerprint(self._generators[source])
        self.settings: dict[str, object] = {"models": models}

    def translate(self, photograph: Path, target: str, random: np.random.Generator) -> Image.Image:
        return translate_image(self._generators[domain_of(self.dataset, photograph)], open_rgb(photograph))


@torch.inference_mode()
def translate_image(generator: Generator, image: Image.Image) -> Image.Image:
    """Translates an RGB image; the result has the same size. Larger images are scaled down and up again."""
    small = shrink(image)
    device = next(generator.parameters()).device
    right, below = (max(-side % MULTIPLE, LEAST_SIDE - side) for side in small.size)
    tensor = functional.pad(to_tensor(small)[None], (0, right, 0, below), mode="replicate")
    made = generator(tensor.to(device))[0, :, : small.height, : small.width]
    return to_picture(made).resize(image.size, Image.Resampling.BICUBIC)


def _load_generator(file: Path) -> Generator:
    state = load_state(file)
    try:
        generator = Generator(state["settings"]["width"], state["settings"]["blocks"])
        prefix = "generator."
        weights = {n.removeprefix(prefix): w for n, w in state["networks"].items() if n.startswith(prefix)}
        generator.load_state_dict(weights)
    except (KeyError, RuntimeError, AttributeError, TypeError) as error:
        raise DacoError(f"The CUT model {file} is damaged ({error}): delete it to train a new one.") from error
    return generator


def _fingerprint(generator: Generator) -> str:
    digest = hashlib.sha256()
    for weight in generator.state_dict().values():
        digest.update(weight.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
