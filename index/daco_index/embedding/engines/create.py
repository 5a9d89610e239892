"""The engine for an encoder on a device."""

import logging
from pathlib import Path
from typing import Literal

import torch

from daco_index.embedding.engines.engine import Engine
from daco_index.embedding.engines.pytorch import TorchEngine
from daco_index.embedding.precision_record import Precision
from daco_training.devices import pick_device
from daco_training.encoder.encoder import Encoder

log = logging.getLogger(__name__)


def create_engine(
    encoder: Encoder,
    device: str = "auto",
    precision: Precision = "fp32",
    quantised: Path | None = None,
    threads: int = 0,
    goal: Literal["latency", "throughput"] = "latency",
) -> Engine:
    """OpenVINO on a CPU; PyTorch on a GPU and, with a word, for what OpenVINO cannot run. It takes the encoder over.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, ...; or `auto`, the GPU if there is one.
        quantised: the int8 form of the encoder's backbone, for that precision.
        threads: on a CPU; 0 for what the engine thinks best. PyTorch's are those of the whole process.
        goal: `latency` for queries, `throughput` for many photographs at once.

    Raises:
        DacoError: there is no such device, or it does not compute in this precision.
    """
    where = pick_device(device)
    if where.type == "cuda":
        return TorchEngine(encoder, where, precision, graphs=goal == "latency")
    try:
        from daco_index.embedding.engines.export import NotExportable
        from daco_index.embedding.engines.openvino import OpenVinoEngine
    except ImportError as error:  # a platform without it
        log.warning("OpenVINO cannot be loaded (%s): PyTorch takes its place, more slowly.", error)
        return _pytorch_on_cpu(encoder, precision, threads)
    try:
        return OpenVinoEngine(encoder, precision, quantised, threads, goal)
    except NotExportable as error:
        log.warning("%s PyTorch takes its place, more slowly.", error)
        return _pytorch_on_cpu(encoder, precision, threads)


def _pytorch_on_cpu(encoder: Encoder, precision: Precision, threads: int) -> TorchEngine:
    if threads:
        torch.set_num_threads(threads)
    return TorchEngine(encoder, torch.device("cpu"), precision)


def best_precision(proved: Precision, device: str) -> tuple[Precision, str]:
    """The precision nearest to a proved one that a machine has, and why it is another: "" where it is not.

    Raises:
        DacoError: there is no such device.
    """
    where = pick_device(device)
    if proved == "int8" and where.type == "cuda":
        return "fp32", "int8 is for CPUs"
    if proved == "bf16" and not _has_bf16(where):
        return "fp32", f"this {'GPU' if where.type == 'cuda' else 'CPU'} has no bf16"
    return proved, ""


def _has_bf16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    from daco_index.embedding.engines.openvino import has_bf16

    return has_bf16()
