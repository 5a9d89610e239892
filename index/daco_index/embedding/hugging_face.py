"""Encoders from the Hugging Face Hub, `hf:OWNER/NAME[@REVISION]`: weights in safetensors or ONNX, and no code."""

import logging
import re
from pathlib import Path

from daco_core.encoder.config import HUGGING_FACE_PREFIX
from daco_core.encoder.stored import CONFIG_FILE, NETWORK_FILE
from daco_core.errors import DacoError, MissingExtra, NotFound, UsageError

FORM = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
FILES = (CONFIG_FILE, "*.safetensors", "*.onnx", "*.json")  # nothing that is pickled, and no code
COMMIT = re.compile(r"[0-9a-f]{40}")

log = logging.getLogger(__name__)


def fetch(source: str) -> Path:
    """The folder of an encoder that a repository holds, or its one ONNX file with a manifest beside it.

    What is in the Hub's cache is used without the network. The revision that a branch or tag stands for is reported, so
    that it can be pinned.

    Args:
        source: `hf:OWNER/NAME`, with `@REVISION`, a commit, tag or branch, if need be.

    Returns:
        A folder with `encoder.json`; or the path of a `.onnx` file, as `onnx:PATH` takes it.

    Raises:
        UsageError: it is not of this form.
        MissingExtra: huggingface-hub is not installed.
        NotFound: there is no such repository or revision, or no encoder in it.
        DacoError: the Hub cannot be reached.
    """
    form = FORM.fullmatch(source.removeprefix(HUGGING_FACE_PREFIX))
    if form is None:
        raise UsageError(f"{source} does not name a repository: write {HUGGING_FACE_PREFIX}OWNER/NAME or ...@REVISION.")
    repository, revision = form[1], form[2]
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtra(
            f"{source} needs huggingface-hub, which is not installed: pip install 'daco-serve[hf]'."
        ) from error
    try:
        folder = Path(snapshot_download(repository, revision=revision, allow_patterns=list(FILES)))
    except LocalEntryNotFoundError as error:
        raise DacoError(
            f"{source} is not in the Hub's cache, and the Hub cannot be reached: fetch it on a machine with a network"
            " and copy its cache (HF_HOME), or name a folder."
        ) from error
    except HfHubHTTPError as error:
        raise NotFound(f"{source} cannot be had: {str(error).strip().splitlines()[0]}") from error
    except (OSError, ValueError) as error:
        raise DacoError(f"{source} cannot be had: {error}") from error
    if COMMIT.fullmatch(folder.name) and revision != folder.name:
        log.warning("%s is revision %s: write @%s to keep to it.", source, folder.name, folder.name)
    if (folder / CONFIG_FILE).is_file():
        return folder
    networks = sorted(folder.glob("*.onnx"))
    with_manifest = [file for file in networks if file.with_suffix(".json").is_file()]
    if len(with_manifest) == 1:
        return with_manifest[0]
    raise NotFound(
        f"{source} holds no encoder: neither {CONFIG_FILE} with {NETWORK_FILE} or weights, nor one .onnx file with a"
        " manifest of the same name beside it."
    )
