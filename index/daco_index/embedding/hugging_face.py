"""Downloads encoders from the Hugging Face Hub, `hf:OWNER/NAME[@REVISION]`: safetensors or ONNX weights, no code."""

import logging
import re
from pathlib import Path

from daco_core.encoder.config import HUGGING_FACE_PREFIX
from daco_core.encoder.stored import CONFIG_FILE, NETWORK_FILE
from daco_core.errors import DacoError, MissingExtra, NotFound, UsageError

FORM = re.compile(r"([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")
FILES = (CONFIG_FILE, "*.safetensors", "*.onnx", "*.json")  # no pickled files, no code
COMMIT = re.compile(r"[0-9a-f]{40}")

log = logging.getLogger(__name__)


def fetch(source: str) -> Path:
    """The folder of the encoder in a repository, or its one ONNX file with a manifest next to it.

    Files in the Hub's cache are used without the network. The commit of a branch or tag is reported, so that it can be
    pinned.

    Args:
        source: `hf:OWNER/NAME`, optionally with `@REVISION`: a commit, tag or branch.

    Returns:
        A folder with `encoder.json`; or the path of an `.onnx` file, for `onnx:PATH`.

    Raises:
        UsageError: it has another form.
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
        raise NotFound(f"{source} cannot be downloaded: {str(error).strip().splitlines()[0]}") from error
    except (OSError, ValueError) as error:
        raise DacoError(f"{source} cannot be downloaded: {error}") from error
    if COMMIT.fullmatch(folder.name) and revision != folder.name:
        log.warning("%s is at revision %s: write @%s to pin it.", source, folder.name, folder.name)
    if (folder / CONFIG_FILE).is_file():
        return folder
    networks = sorted(folder.glob("*.onnx"))
    with_manifest = [file for file in networks if file.with_suffix(".json").is_file()]
    if len(with_manifest) == 1:
        return with_manifest[0]
    raise NotFound(
        f"{source} contains no encoder: neither {CONFIG_FILE} with {NETWORK_FILE} or weights, nor one .onnx file"
        " with a manifest of the same name."
    )
