"""Trains a generator for each direction of a data set; training can be resumed."""

from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from tqdm import tqdm

from daco_core.errors import NotFound, UsageError
from daco_core.photographs.contact_sheet import contact_sheet, save_picture
from daco_core.photographs.images import open_rgb
from daco_core.photographs.layout import DataSet
from daco_training.devices import pick_device
from daco_training.loop.interrupt import StopSignal, ignore_interrupts
from daco_training.loop.memory import keep_freed
from daco_training.loop.process_state import process_state_restored
from daco_training.randomness import derive_seed
from daco_training.translation.cut.checkpoint import checkpoint_file, load_state, model_folder, save_state
from daco_training.translation.cut.crops import CropPairs
from daco_training.translation.cut.losses import judge, patch_nce
from daco_training.translation.cut.networks import Discriminator, Generator, PatchHeads, draw_places
from daco_training.translation.cut.translator import translate_image
from daco_training.translation.directions import target_of, target_photographs

LEARNING_RATE = 2e-4
BETAS = (0.5, 0.999)
SAVE_EVERY = 500  # steps between checkpoints, each with a sample sheet
SAMPLES = 6  # photographs on a sample sheet
WORKERS = 8  # processes that decode for a GPU; a CPU is fully used by the networks


@dataclass(frozen=True)
class CutSettings:
    """The length of training, and the size of the networks.

    Args:
        iterations: steps for each direction; the learning rate falls to 0 over the second half.
        image_size: side of the crops, in pixels.
        width: channels of the networks' first layers; the paper's is 64.
        blocks: residual blocks of the generator; the paper's is 9, for crops of 256.
    """

    iterations: int = 20000
    image_size: int = 128
    width: int = 32
    blocks: int = 6
    batch_size: int = 1
    seed: int = 0


class Direction(nn.Module):
    """The networks and optimisers of one direction, and their training step."""

    def __init__(self, settings: CutSettings) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.generator = Generator(settings.width, settings.blocks)
            self.heads = PatchHeads(self.generator.channels)
            self.discriminator = Discriminator(settings.width)
        self.settings = settings
        self.step = 0

    def prepare(self, device: torch.device) -> "Direction":
        """Moves the networks to a device and creates their optimisers there."""
        self.to(device)
        makers = chain(self.generator.parameters(), self.heads.parameters())
        self.make_optimizer = torch.optim.Adam(makers, LEARNING_RATE, BETAS)
        self.judge_optimizer = torch.optim.Adam(self.discriminator.parameters(), LEARNING_RATE, BETAS)
        return self

    def train_step(self, source: Tensor, target: Tensor) -> dict[str, Tensor]:
        """One step of the discriminator and one of the generator with its heads; returns their losses.

        Args:
            source, target: (n, 3, size, size) in -1 to 1.
        """
        half = self.settings.iterations / 2
        rate = LEARNING_RATE * min(1.0, max(self.settings.iterations - self.step, 0) / half)
        for optimizer in (self.make_optimizer, self.judge_optimizer):
            for group in optimizer.param_groups:
                group["lr"] = rate
        random = torch.Generator().manual_seed(derive_seed(self.settings.seed, self.step))
        real = torch.cat([source, target])
        made, real_features = self.generator.translate(real)
        fake = made[: len(source)]

        judged = 0.5 * (judge(self.discriminator(target), True) + judge(self.discriminator(fake.detach()), False))
        self.judge_optimizer.zero_grad(set_to_none=True)
        judged.backward()  # type: ignore[no-untyped-call]
        self.judge_optimizer.step()

        self.discriminator.requires_grad_(False)
        fooled = judge(self.discriminator(fake), True)
        self.discriminator.requires_grad_(True)
        # source against its translation, and target against its own, which should equal it (equation 5)
        places = draw_places(real_features, random)
        keys = self.heads([feature.detach() for feature in real_features], places)
        queries = self.heads(self.generator.features(made), places)
        # the mean over both halves, times two: both terms have weight 1
        nce = 2.0 * patch_nce(queries, keys)
        self.make_optimizer.zero_grad(set_to_none=True)
        (fooled + nce).backward()  # type: ignore[no-untyped-call]
        self.make_optimizer.step()
        self.step += 1
        return {"discriminator": judged.detach(), "generator": fooled.detach(), "nce": nce.detach() / 2.0}

    def state(self) -> dict[str, Any]:
        return {
            "settings": asdict(self.settings),
            "step": self.step,
            "networks": self.state_dict(),
            "make_optimizer": self.make_optimizer.state_dict(),
            "judge_optimizer": self.judge_optimizer.state_dict(),
        }

    def resume(self, state: dict[str, Any], file: Path) -> None:
        """Restores a state.

        Raises:
            DacoError: it comes from a training with other settings; only the number of iterations may differ.
        """
        mine = asdict(self.settings)
        other = {name: value for name, value in state["settings"].items() if mine[name] != value}
        other.pop("iterations", None)
        if other:
            raise UsageError(
                f"{file} was trained with {other}: use the same settings, or delete it to train a new one."
            )
        self.load_state_dict(state["networks"])
        self.make_optimizer.load_state_dict(state["make_optimizer"])
        self.judge_optimizer.load_state_dict(state["judge_optimizer"])
        self.step = state["step"]


def train_cut(dataset: DataSet, settings: CutSettings, device: str = "auto") -> None:
    """Trains each direction for its iterations, into `translation/cut/`, with sample sheets.

    Raises:
        DacoError: a domain has no training photographs, existing models have other settings, or no such device.
        KeyboardInterrupt: it was interrupted; the checkpoint was written, and the same call resumes.
    """
    target_photographs(dataset, "cut")
    place = pick_device(device)
    with process_state_restored():
        if place.type == "cpu":
            keep_freed()
        for source in dataset.domains:
            _train_direction(dataset, source, target_of(source), settings, place)


def is_trained(dataset: DataSet, settings: CutSettings) -> bool:
    """Whether each direction has completed its iterations, so that `train_cut` would change nothing.

    Raises:
        DacoError: the data set does not have two domains, or a model is damaged.
    """
    target_photographs(dataset, "cut")
    files = [checkpoint_file(dataset, source, target_of(source)) for source in dataset.domains]
    return all(file.is_file() and load_state(file)["step"] >= settings.iterations for file in files)


def _train_direction(dataset: DataSet, source: str, target: str, settings: CutSettings, device: torch.device) -> None:
    photographs = dataset.images(source, "train")
    if not photographs:
        raise NotFound(
            f"Method cut learns from each domain's photographs, and {dataset.split_folder(source, 'train')} has none."
        )
    file = checkpoint_file(dataset, source, target)
    direction = Direction(settings).prepare(device)
    if file.is_file():
        direction.resume(load_state(file), file)
    crops = CropPairs(photographs, dataset.images(target, "train"), settings.image_size, settings.seed)
    first, last = direction.step * settings.batch_size, settings.iterations * settings.batch_size
    on_gpu = device.type == "cuda"
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        crops,
        batch_size=settings.batch_size,
        sampler=range(first, last),
        num_workers=WORKERS if on_gpu else 0,
        pin_memory=on_gpu,
        worker_init_fn=ignore_interrupts,
    )
    label = f"cut {source} to {target}"
    with StopSignal() as stop, tqdm(loader, label, settings.iterations, initial=direction.step, unit="step") as bar:
        for crop, other in bar:
            losses = direction.train_step(crop.to(device, non_blocking=True), other.to(device, non_blocking=True))
            if direction.step % 10 == 0:
                bar.set_postfix({name: f"{loss.item():.3f}" for name, loss in losses.items()})
            due = direction.step % SAVE_EVERY == 0 or direction.step == settings.iterations
            if due or stop.requested:
                save_state(file, direction.state())
            if due:
                _write_samples(dataset, direction, photographs, f"{source}_to_{target}_{direction.step:06d}.jpg")
            if stop.requested:
                raise KeyboardInterrupt


def _write_samples(dataset: DataSet, direction: Direction, photographs: list[Path], name: str) -> None:
    chosen = photographs[:: max(len(photographs) // SAMPLES, 1)][:SAMPLES]
    images = [open_rgb(photograph) for photograph in chosen]
    rows = [[image, translate_image(direction.generator, image)] for image in images]
    save_picture(contact_sheet(rows, ["original", f"step {direction.step}"]), model_folder(dataset) / "samples" / name)
