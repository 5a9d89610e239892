"""Finds encoders by the names that command lines use, and stores them as folders that any engine can load."""

import difflib
import hashlib
import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from daco_core.encoder.cache import EXPORT_VERSION, cache_folder, kept_folder
from daco_core.encoder.config import HUB_PREFIX, HUGGING_FACE_PREFIX, ONNX_PREFIX, parse_sha256
from daco_core.encoder.preparation import Resize
from daco_core.encoder.public import PUBLIC_ENCODERS
from daco_core.encoder.stored import DEFAULT, SHIPPED, TIMM_PREFIX, StoredEncoder, open_encoder
from daco_core.errors import DacoError, MissingExtra, NotFound, UsageError, reason_of
from daco_core.files import replace_folder, write_text

if TYPE_CHECKING:
    from types import ModuleType


def find_encoder(source: str, trust: bool = False, image_size: int | None = None) -> StoredEncoder:
    """The encoder that a command line names, with its ONNX file if it can be exported.

    Args:
        source: `default`, the encoder that ships with the package; a folder that daco-train saved; `timm:NAME`: that
            backbone with ImageNet weights and GeM pooling; or `torchhub:REPO:ENTRY`, what that entry of a torch.hub
            repository returns, or the short name of one (`PUBLIC_ENCODERS`). These need PyTorch once; the exported
            network is then kept in the cache. Or `onnx:PATH`, a third-party network with a manifest next to it
            (`onnx_networks`); or `hf:OWNER/NAME[@REVISION]`, either of these forms on the Hugging Face Hub.
        trust: consent to execute third-party code, which encoders from torch.hub require.
        image_size: pixels that photographs are resized to, for `timm:`, `torchhub:` and short names; None for the usual
            size.

    Raises:
        DacoError: there is no such encoder, it cannot be downloaded, consent is missing, or PyTorch is not installed.
    """
    public = PUBLIC_ENCODERS.get(source)
    if public is not None and Path(source).is_dir():
        public = None  # an existing folder takes precedence over a short name
    if public is not None or source.startswith((TIMM_PREFIX, HUB_PREFIX)):
        return _find_network(
            public.source if public else source,
            trust,
            image_size or (public.image_size if public else None),
            public.resize if public else None,
        )
    if image_size is not None:
        raise UsageError(f"{source} has a fixed image size: omit --image-size.")
    if source == DEFAULT:
        return open_encoder(SHIPPED)
    if source.startswith(HUGGING_FACE_PREFIX):
        from daco_index.embedding.hugging_face import fetch

        fetched = fetch(source)
        source = f"{ONNX_PREFIX}{fetched}" if fetched.is_file() else str(fetched)
    if source.startswith(ONNX_PREFIX):
        from daco_index.embedding.onnx_networks import keep_network

        try:
            return keep_network(source, cache_folder() / "encoders")
        except OSError as error:
            raise DacoError(f"{source} cannot be kept in {cache_folder()}: {reason_of(error)}.") from error
    if not Path(source).exists():
        known = ", ".join((DEFAULT, *PUBLIC_ENCODERS))
        near = difflib.get_close_matches(source, PUBLIC_ENCODERS, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise NotFound(f"There is no encoder {source}: it is neither a folder nor one of {known}.{meant}")
    return with_network(open_encoder(Path(source), trust))


def save_encoder(source: str, folder: Path, trust: bool = False, image_size: int | None = None) -> StoredEncoder:
    """Writes the named encoder into a new folder, which can be used as an encoder on any machine.

    Raises:
        UsageError: the folder exists.
        DacoError: see `find_encoder`; or it cannot be written.
    """
    if folder.exists():
        raise UsageError(f"{folder} exists: name a new folder.")
    encoder = find_encoder(source, trust, image_size)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replace_folder(folder) as fresh:
            fresh.rmdir()
            encoder.copy_to(fresh)
    except OSError as error:
        raise DacoError(f"{folder} cannot be written: {reason_of(error)}.") from error
    return open_encoder(folder, trust)


def _find_network(source: str, trust: bool, image_size: int | None, resize: Resize | None) -> StoredEncoder:
    """A PyTorch network: the version exported earlier, else a new export.

    A network that was exported from a GitHub repository runs without its code, so it needs neither consent nor PyTorch.
    """
    note = None
    if source.startswith(HUB_PREFIX) and not Path(source.removeprefix(HUB_PREFIX).rpartition(":")[0]).exists():
        key = json.dumps([source, image_size, resize, EXPORT_VERSION])
        note = cache_folder() / "encoders" / f"named-{hashlib.sha256(key.encode()).hexdigest()}"
        with suppress(DacoError, OSError, ValueError):
            kept = open_encoder(kept_folder(parse_sha256(note.read_text(encoding="ascii"), note, "it")), trust)
            if kept.network:
                kept.read_network()  # a damaged one is exported again
                return kept
    made: StoredEncoder = pytorch(f"{source} is a PyTorch network").keep_named(source, trust, image_size, resize)
    if note is not None and made.network and made.folder == kept_folder(made.fingerprint):
        with suppress(OSError):
            write_text(note, made.fingerprint)
    return made


def with_network(encoder: StoredEncoder) -> StoredEncoder:
    """An encoder with its ONNX file; if it was saved without one, PyTorch converts it, and the cache keeps the result.

    Returns:
        The encoder unchanged, with a warning, if it cannot be exported to ONNX.

    Raises:
        DacoError: PyTorch is not installed, or it needs consent.
    """
    if encoder.network:
        return encoder
    with suppress(DacoError):
        kept = open_encoder(kept_folder(encoder.fingerprint), encoder.trust)
        if kept.network:
            kept.read_network()  # a damaged one is exported again
            return kept
    why = f"The encoder in {encoder.folder} has no model.onnx, which PyTorch could create"
    converted: StoredEncoder = pytorch(why).convert(encoder)
    return converted if converted.network else encoder


def pytorch(why: str) -> "ModuleType":
    """Imports `daco_index.embedding.engines.pytorch`, the only module here that imports PyTorch and `daco_training`.

    Args:
        why: what it is needed for, as the beginning of a sentence.

    Raises:
        MissingExtra: it cannot be imported because PyTorch is not installed.
    """
    try:
        from daco_index.embedding.engines import pytorch as module
    except ImportError as error:
        raise MissingExtra(
            f"{why}, and {error.name or error} is not installed: pip install 'daco-serve[train]'."
        ) from error
    return module
