"""Encoders by their names on a command line, as folders that any engine takes."""

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
from daco_core.errors import DacoError, MissingExtra, NotFound, UsageError
from daco_core.files import replace_folder, write_text

if TYPE_CHECKING:
    from types import ModuleType


def find_encoder(source: str, trust: bool = False, image_size: int | None = None) -> StoredEncoder:
    """The encoder that a command line names, with its ONNX file wherever it has such a form.

    Args:
        source: `default`, the encoder that comes with the package; a folder that daco-train saved; `timm:NAME`: that
            backbone as ImageNet leaves it, GeM pooling; or `torchhub:REPO:ENTRY`, what that entry of a torch.hub
            repository returns, or the short name of one (`PUBLIC_ENCODERS`). These take PyTorch, once: what it makes
            of them is kept in the cache. Or `onnx:PATH`, a third-party network with a manifest beside it
            (`onnx_networks`); or `hf:OWNER/NAME[@REVISION]`, either of these forms on the Hugging Face Hub.
        trust: consent to execute third-party code, which encoders from torch.hub require.
        image_size: pixels that photographs are brought to, for `timm:`, `torchhub:` and short names; None for the usual
            size.

    Raises:
        DacoError: there is no such encoder, or it cannot be had, or there is no consent, or PyTorch is not installed.
    """
    public = PUBLIC_ENCODERS.get(source)
    if public is not None and Path(source).is_dir():
        public = None  # a folder of that name is meant, as it was before there were short names
    if public is not None or source.startswith((TIMM_PREFIX, HUB_PREFIX)):
        return _find_network(
            public.source if public else source,
            trust,
            image_size or (public.image_size if public else None),
            public.resize if public else None,
        )
    if image_size is not None:
        raise UsageError(f"{source} has an image size of its own: leave --image-size out.")
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
            raise DacoError(f"{source} cannot be kept in {cache_folder()}: {error.strerror or error}.") from error
    if not Path(source).exists():
        known = ", ".join((DEFAULT, *PUBLIC_ENCODERS))
        near = difflib.get_close_matches(source, PUBLIC_ENCODERS, n=1)
        meant = f" Did you mean {near[0]}?" if near else ""
        raise NotFound(f"There is no encoder {source}: it is neither a folder nor one of {known}.{meant}")
    return with_network(open_encoder(Path(source), trust))


def save_encoder(source: str, folder: Path, trust: bool = False, image_size: int | None = None) -> StoredEncoder:
    """The encoder of a name, written into a new folder, which any machine takes as an encoder.

    Raises:
        UsageError: the folder exists.
        DacoError: as `find_encoder`, or it cannot be written.
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
        raise DacoError(f"{folder} cannot be written: {error.strerror or error}.") from error
    return open_encoder(folder, trust)


def _find_network(source: str, trust: bool, image_size: int | None, resize: Resize | None) -> StoredEncoder:
    """A network of PyTorch: what was exported of it before, else what PyTorch makes of it now.

    What was exported of a repository on GitHub runs without its code, so it takes neither consent nor PyTorch.
    """
    note = None
    if source.startswith(HUB_PREFIX) and not Path(source.removeprefix(HUB_PREFIX).rpartition(":")[0]).exists():
        key = json.dumps([source, image_size, resize, EXPORT_VERSION])
        note = cache_folder() / "encoders" / f"named-{hashlib.sha256(key.encode()).hexdigest()}"
        with suppress(DacoError, OSError, ValueError):
            kept = open_encoder(kept_folder(parse_sha256(note.read_text(encoding="ascii"), note, "it")), trust)
            if kept.network:
                kept.read_network()  # a damaged one is made again
                return kept
    made: StoredEncoder = pytorch(f"{source} is a network of PyTorch").keep_named(source, trust, image_size, resize)
    if note is not None and made.network and made.folder == kept_folder(made.fingerprint):
        with suppress(OSError):
            write_text(note, made.fingerprint)
    return made


def with_network(encoder: StoredEncoder) -> StoredEncoder:
    """An encoder with its ONNX file: one that was saved without is converted by PyTorch, and kept in the cache.

    Returns:
        The encoder as it is, with a warning, if it has no form in ONNX.

    Raises:
        DacoError: PyTorch is not installed, or it needs consent.
    """
    if encoder.network:
        return encoder
    with suppress(DacoError):
        kept = open_encoder(kept_folder(encoder.fingerprint), encoder.trust)
        if kept.network:
            kept.read_network()  # a damaged one is made again
            return kept
    why = f"The encoder in {encoder.folder} has no model.onnx, which PyTorch could make"
    converted: StoredEncoder = pytorch(why).convert(encoder)
    return converted if converted.network else encoder


def pytorch(why: str) -> "ModuleType":
    """`daco_index.embedding.engines.pytorch`, the one module that imports PyTorch and `daco_training`.

    Args:
        why: what it is needed for, as the beginning of a sentence.

    Raises:
        MissingExtra: it cannot be imported, as PyTorch is not installed.
    """
    try:
        from daco_index.embedding.engines import pytorch as module
    except ImportError as error:
        raise MissingExtra(
            f"{why}, and {error.name or error} is not installed: pip install 'daco-serve[train]'."
        ) from error
    return module
