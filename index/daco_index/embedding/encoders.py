"""Encoders by their names on a command line, as folders that any engine takes."""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from daco_core.encoder.config import HUB_PREFIX, ONNX_PREFIX
from daco_core.encoder.stored import DEFAULT, SHIPPED, TIMM_PREFIX, StoredEncoder, open_encoder
from daco_core.errors import DacoError, MissingExtra

if TYPE_CHECKING:
    from types import ModuleType

log = logging.getLogger(__name__)

CACHE_VARIABLE = "DACO_CACHE"
EXPORT_VERSION = 1  # to be raised with every change of what is exported


def find_encoder(source: str, trust: bool = False) -> StoredEncoder:
    """The encoder that a command line names, with its ONNX file wherever it has such a form.

    Args:
        source: `default`, the encoder that comes with the package; a folder that daco-train saved; `timm:NAME`: that
            backbone as ImageNet leaves it, GeM pooling; or `torchhub:REPO:ENTRY`, what that entry of a torch.hub
            repository returns. These two take PyTorch, once: what it makes of them is kept in the cache. Or
            `onnx:PATH`, a third-party network with a manifest beside it (`onnx_networks`).
        trust: consent to execute third-party code, which encoders from torch.hub require.

    Raises:
        DacoError: there is no such encoder, or it cannot be had, or there is no consent, or PyTorch is not installed.
    """
    if source == DEFAULT:
        return open_encoder(SHIPPED)
    if source.startswith((TIMM_PREFIX, HUB_PREFIX)):
        return pytorch(f"{source} is a network of PyTorch").keep_named(source, trust)  # type: ignore[no-any-return]
    if source.startswith(ONNX_PREFIX):
        from daco_index.embedding.onnx_networks import keep_network

        try:
            return keep_network(source, cache_folder() / "encoders")
        except OSError as error:
            raise DacoError(f"{source} cannot be kept in {cache_folder()}: {error.strerror or error}.") from error
    return with_network(open_encoder(Path(source), trust))


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


def kept_folder(fingerprint: str) -> Path:
    """Where the cache has an encoder in the form that engines take."""
    return cache_folder() / "encoders" / f"{fingerprint}-{EXPORT_VERSION}"


def cache_folder() -> Path:
    """Where what can be made again is kept: DACO_CACHE, else `daco-serve` in the user's cache."""
    given = os.environ.get(CACHE_VARIABLE)
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "daco-serve"


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
