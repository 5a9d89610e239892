"""The options of a training run, as given, and as resolved by the method and the recipe."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from daco_core.encoder.config import is_hub
from daco_core.encoder.preparation import Resize
from daco_core.errors import UsageError
from daco_training.encoder.pooling import POOLINGS
from daco_training.loop.recipe import DEFAULTS, FROM_SCRATCH, PARTS, RECIPES, Recipe, make_recipe

# the published batch size of each method
PUBLISHED_BATCH_SIZE = {"daco": 16, "simclr": 32, "simsiam": 32, "moco": 32, "npid": 64}
PUBLISHED_MOMENTUM = {"daco": 0.5, "simclr": 0.5, "simsiam": 0.5, "moco": 0.999, "npid": 0.5}

PRECISIONS = ("fp32", "bf16", "fp16", "auto")

# options that do not change what the encoder learns
LOCAL = frozenset(
    {"data_root", "save_root", "gpu_ids", "nodes", "workers", "memory_share", "compile", "checkpoint_minutes"}
)
# options that may differ when a run is resumed
RESUMABLE = LOCAL | {"iters", "precision"}


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of a training run; None for the default of the recipe or of the method."""

    recipe: str = "published"
    without: tuple[str, ...] = ()
    data_root: Path = Path("data")
    data_name: str = "tokyo"
    method_name: str = "daco"
    proj_dim: int = 128
    temperature: float | None = None
    batch_size: int | None = None
    iters: int | None = None
    gpu_ids: tuple[int, ...] | None = None
    ranks: tuple[int, ...] = (1, 2, 4, 8)
    save_root: Path = Path("result")
    lamda: float = 0.8
    dense: float = 0.0
    move: float = 0.0
    negs: int = 4096
    mask_copies: bool = False
    momentum: float | None = None
    backbone: str | None = None
    pooling: str | None = None
    image_size: int = 256
    resize: str | None = None
    pretrained: str | None = None
    lr: float = 1e-3
    tail_lr: float = 0.0
    tail_stages: int = 1
    weight_decay: float | None = None
    precision: str | None = None
    compile: bool = False
    nodes: int = 1
    workers: int = 2
    memory_share: float = 0.25
    seed: int = 0
    val_every: int = 0  # 0: at the end of each epoch
    checkpoint_minutes: float = 5.0

    def resolve(self) -> "TrainSettings":
        """The settings, with a value for every option.

        Raises:
            UsageError: a value is impossible, or contradicts another one.
        """
        if self.method_name not in PUBLISHED_BATCH_SIZE:
            raise UsageError(f"There is no method {self.method_name!r}: choose {', '.join(PUBLISHED_BATCH_SIZE)}.")
        if self.recipe not in RECIPES:
            raise UsageError(f"There is no recipe {self.recipe!r}: choose {' or '.join(RECIPES)}.")
        if unknown := [part for part in self.without if part not in PARTS]:
            raise UsageError(f"The modern recipe has no part {unknown[0]!r} to leave out: choose {', '.join(PARTS)}.")
        if self.without and self.recipe != "modern":
            raise UsageError("--without leaves out parts of the modern recipe: add --recipe modern.")
        defaults = DEFAULTS[self.recipe] | {
            "batch_size": PUBLISHED_BATCH_SIZE[self.method_name],
            "momentum": PUBLISHED_MOMENTUM[self.method_name],
        }
        values = {item.name: getattr(self, item.name) for item in fields(TrainOptions)}
        values |= {name: default for name, default in defaults.items() if values[name] is None}
        if values["pooling"] == "grid" and not self.parts.grid and self.recipe == "modern":
            values["pooling"] = "gem"
        values["ranks"] = tuple(sorted(set(self.ranks)))
        return TrainSettings(given=self, **values)

    def but(self, **changes: Any) -> "TrainOptions":
        """A copy with some options changed."""
        return replace(self, **changes)

    @property
    def parts(self) -> Recipe:
        """The parts of the recipe, without those of `without`."""
        return make_recipe(self.recipe, self.without)

    @property
    def run_name(self) -> str:
        """The name of the run's files: `demo_daco`."""
        return f"{self.data_name}_{self.method_name}"

    @property
    def encoder_folder(self) -> Path:
        return self.save_root / self.run_name

    @property
    def results_file(self) -> Path:
        return self.save_root / f"{self.run_name}_results.csv"

    @property
    def checkpoint_file(self) -> Path:
        return self.save_root / f"{self.run_name}_last.ckpt"

    @property
    def lock_file(self) -> Path:
        return self.save_root / f".{self.run_name}.lock"


@dataclass(frozen=True, kw_only=True)
class TrainSettings(TrainOptions):
    """The resolved settings of a training run; created by `TrainOptions.resolve` from `given`.

    Raises:
        UsageError: a value is invalid.
    """

    given: TrainOptions
    temperature: float
    batch_size: int
    iters: int
    momentum: float
    backbone: str
    pooling: str
    resize: Resize
    pretrained: str
    weight_decay: float
    precision: str

    def __post_init__(self) -> None:
        if self.pooling not in POOLINGS:
            raise UsageError(f"There is no pooling {self.pooling!r}: choose {', '.join(POOLINGS)}.")
        if self.resize not in ("shorter", "square"):
            raise UsageError(f"There is no resize rule {self.resize!r}: choose shorter or square.")
        if is_hub(self.backbone):
            raise UsageError(f"--backbone {self.backbone}: a network from torch.hub cannot be trained.")
        if self.precision not in PRECISIONS:
            raise UsageError(f"There is no precision {self.precision!r}: choose {', '.join(PRECISIONS)}.")
        for name in ("proj_dim", "iters", "negs", "image_size", "temperature", "lr", "tail_stages"):
            if getattr(self, name) <= 0:
                raise UsageError(f"--{name} must be above 0, not {getattr(self, name)}.")
        if self.tail_lr < 0:
            raise UsageError(f"--tail_lr must be at least 0, not {self.tail_lr}.")
        if self.tail_lr and not self.frozen:
            raise UsageError("--tail_lr needs a frozen pretrained backbone, such as that of --recipe modern.")
        if self.val_every < 0:
            raise UsageError(f"--val_every must be at least 0, not {self.val_every}.")
        if self.checkpoint_minutes <= 0:
            raise UsageError(f"--checkpoint_minutes must be above 0, not {self.checkpoint_minutes}.")
        if self.mask_copies and self.method_name not in ("moco", "npid"):
            raise UsageError(f"--mask_copies is for moco and npid: {self.method_name} stores no older copies.")
        if not 0 <= self.move <= 1:
            raise UsageError(f"--move must be a share of the views, from 0 to 1, not {self.move}.")
        if self.move and not self.parts.views:
            raise UsageError("--move needs the part views of the modern recipe.")
        if self.dense < 0:
            raise UsageError(f"--dense must be at least 0, not {self.dense}.")
        cells = self.pooling in ("grid", "place") and self.resize == "square"
        if self.dense and not (self.method_name == "daco" and cells):
            raise UsageError("--dense is for --method_name daco with --pooling grid or place and --resize square.")
        if self.nodes < 1:
            raise UsageError(f"--nodes must be at least 1, not {self.nodes}.")
        if not 0 <= self.memory_share < 1:
            raise UsageError(f"--memory_share must be a share from 0 to below 1, not {self.memory_share}.")
        if self.batch_size < 2:
            raise UsageError("--batch_size must be at least 2: batch norm needs more than one image.")
        if self.gpu_ids is not None and not self.gpu_ids:
            raise UsageError("--gpu_ids needs numbers of GPUs, such as 0 1; or omit it.")
        if not self.ranks or min(self.ranks) < 1:
            raise UsageError("--ranks needs whole numbers from 1, such as 1,2,4,8.")
        if not 0 <= self.momentum <= 1:
            raise UsageError(f"--momentum must be from 0 to 1, not {self.momentum}.")

    def resolve(self) -> "TrainSettings":
        return self

    @property
    def weights(self) -> str | None:
        """The initial weights of the backbone: `imagenet` or a file; None for random weights."""
        return None if self.pretrained == FROM_SCRATCH else self.pretrained

    @property
    def frozen(self) -> bool:
        """Whether the backbone is not trained, except for its last stages with `tail_lr`."""
        return self.parts.frozen and self.weights is not None

    @property
    def direct(self) -> bool:
        """Whether the loss compares descriptors, without a projection head; SimSiam's head is its predictor."""
        return self.parts.direct and self.method_name != "simsiam"

    def recorded(self) -> dict[str, Any]:
        """The settings as plain values, for a checkpoint."""
        return {item.name: _plain(getattr(self, item.name)) for item in fields(TrainOptions)}

    def description(self) -> dict[str, Any]:
        """The settings for `encoder.json`: without those in `LOCAL`, and with only the name of a weights file."""
        values = {name: value for name, value in self.recorded().items() if name not in LOCAL}
        values["pretrained"] = Path(self.pretrained).name
        return values

    def check_continues(self, recorded: dict[str, Any]) -> None:
        """Rejects settings that differ from those of the run to be resumed.

        Raises:
            DacoError: names the settings that differ.
        """
        differing = self._differing(recorded, RESUMABLE)
        if differing:
            changes = ", ".join(f"{name} was {stored}, now {own}" for name, stored, own in differing)
            raise UsageError(f"--resume needs the settings that the run was started with, but {changes}.")

    def check_same(self, recorded: dict[str, Any], where: Path) -> None:
        """Rejects a stored run that differs in any relevant setting, including its length and number format.

        Args:
            where: the file of the stored run, for the message.

        Raises:
            DacoError: names the settings that differ.
        """
        differing = self._differing(recorded, LOCAL)
        if differing:
            changes = ", ".join(f"{name} is {stored}, not {own}" for name, stored, own in differing)
            raise UsageError(f"{where} contains another run: {changes}. Name another folder, or remove that file.")

    def _differing(self, recorded: dict[str, Any], ignored: frozenset[str]) -> list[tuple[str, Any, Any]]:
        """Name, stored value and own value of each setting that differs."""
        # options that an older version did not have are taken to have their defaults
        stored = TrainOptions().resolve().recorded() | recorded
        own = self.recorded()
        return [(name, stored[name], own[name]) for name in own if name not in ignored and own[name] != stored[name]]

    def but(self, **changes: Any) -> "TrainSettings":
        """A copy with some options changed, resolved again."""
        return self.given.but(**changes).resolve()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value
