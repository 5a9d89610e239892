"""Third-party networks from torch.hub, `torchhub:REPO:ENTRY`. Their code is executed, which needs consent."""

from pathlib import Path
from urllib.parse import parse_qsl

import torch
from torch import Tensor, nn

from daco_core.encoder.config import HUB_PREFIX
from daco_core.errors import DacoError, UsageError

HUBCONF = "hubconf.py"


class HubBackbone(nn.Module):
    """A network from torch.hub that computes descriptors: (n, 3, h, w) to (n, d).

    Args:
        source: `torchhub:REPO:ENTRY`; REPO is `owner/name` on GitHub, optionally with `:branch` or `:tag`, or the
            absolute path of a folder with a `hubconf.py`; ENTRY may have arguments, `ENTRY?ARGUMENT=VALUE&...`.
        image_size: the image size for a test run, which determines d, `num_features`.
        trust: consent to execute the repository's code.

    Raises:
        DacoError: consent is missing; the repository cannot be downloaded or run; or it returns something else.
    """

    def __init__(self, source: str, image_size: int, trust: bool) -> None:
        super().__init__()
        repository, entry = split_source(source)
        name, arguments = split_entry(entry)
        if not trust:
            raise UsageError(
                f"{source} executes the code of {repository} on this machine, with your permissions. If you"
                " trust its authors, add --trust (or set DACO_TRUST=1 for a server)."
            )
        try:
            # trust_repo: consent was given above, and a server cannot ask for it
            where = {"source": "local"} if Path(repository).is_absolute() else {"trust_repo": True, "verbose": False}
            network = torch.hub.load(repository, name, **where, **arguments)  # type: ignore[no-untyped-call]
            _check(network)
            self.network: nn.Module = network.eval()
            with torch.inference_mode():
                descriptors = self._descriptors(torch.zeros(1, 3, image_size, image_size))
        except DacoError as error:
            raise DacoError(f"{source} is not an encoder: {error}") from error
        except Exception as error:  # third-party code can fail in many ways
            reason = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise DacoError(f"{source} cannot be loaded: {type(error).__name__}: {reason}") from error
        if not isinstance(descriptors, Tensor) or descriptors.ndim != 2 or len(descriptors) != 1:
            raise DacoError(f"{source} is not an encoder: for one image it does not return one row of numbers, (1, d).")
        self.num_features = descriptors.shape[1]

    def forward_features(self, images: Tensor) -> Tensor:
        """The descriptor as a feature map of one position: (n, 3, h, w) to (n, d, 1, 1)."""
        return self._descriptors(images)[:, :, None, None]

    def _descriptors(self, images: Tensor) -> Tensor:
        """The network's output; the first one if it has several, because BoQ also returns its attention maps."""
        outputs = self.network(images)
        descriptors: Tensor = outputs[0] if isinstance(outputs, tuple | list) and outputs else outputs
        return descriptors


def split_source(source: str) -> tuple[str, str]:
    """Splits `torchhub:owner/name:branch:entry` into (`owner/name:branch`, `entry`).

    Raises:
        UsageError: it has another form.
    """
    repository, colon, entry = source.removeprefix(HUB_PREFIX).rpartition(":")
    if not (repository and colon and entry):
        raise UsageError(
            f"{source} does not name a network: write {HUB_PREFIX}REPO:ENTRY, such as"
            f" {HUB_PREFIX}gmberton/MegaLoc:get_trained_model."
        )
    return repository, entry


def split_entry(entry: str) -> tuple[str, dict[str, str | int]]:
    """Splits `entry?backbone=ResNet50&dim=512` into its name and its arguments; whole numbers are converted.

    Raises:
        DacoError: an argument has no value.
    """
    name, _, query = entry.partition("?")
    try:
        pairs = parse_qsl(query, strict_parsing=True) if query else []
    except ValueError as error:
        raise UsageError(f"{entry} does not name an entry: write ENTRY or ENTRY?ARGUMENT=VALUE&...") from error
    return name, {key: int(value) if value.isdecimal() else value for key, value in pairs}


def resolve(source: str) -> str:
    """The source with a local folder as its absolute path, so that it does not depend on the working folder.

    Raises:
        DacoError: it is neither a folder with a `hubconf.py` nor a name on GitHub.
    """
    repository, entry = split_source(source)
    folder = Path(repository).expanduser()
    if (folder / HUBCONF).is_file():
        return f"{HUB_PREFIX}{folder.absolute()}:{entry}"
    if folder.is_absolute() or folder.exists() or repository.count("/") != 1:
        raise UsageError(f"{repository} is neither a folder with a {HUBCONF} nor owner/name of a repository on GitHub.")
    return source


def _check(network: object) -> None:
    if not isinstance(network, nn.Module):
        raise DacoError(f"its entry returns {type(network).__name__}, not a torch.nn.Module.")
    weights = network.state_dict().values()
    if not weights or not all(isinstance(value, Tensor) for value in weights):
        raise DacoError("its state contains more than tensors, so it cannot be saved as an encoder.")
