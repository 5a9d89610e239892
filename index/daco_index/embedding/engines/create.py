"""Creates the engine for an encoder on a device."""

import logging
from pathlib import Path
from typing import Literal

from daco_core.encoder.stored import StoredEncoder
from daco_index.embedding.devices import CPU, pick_device
from daco_index.embedding.encoders import pytorch, with_network
from daco_index.embedding.engines.engine import Engine
from daco_index.embedding.precision_record import Precision

log = logging.getLogger(__name__)


def create_engine(
    encoder: StoredEncoder,
    device: str = "auto",
    precision: Precision = "fp32",
    quantised: Path | None = None,
    threads: int = 0,
    goal: Literal["latency", "throughput"] = "latency",
) -> Engine:
    """OpenVINO on a CPU; PyTorch on a GPU and, with a warning, if OpenVINO cannot run the encoder.

    Args:
        device: `cpu`, `cuda`, `cuda:1`, ...; or `auto`, a GPU if there is one.
        quantised: the int8 form of the encoder's backbone, for that precision.
        threads: on a CPU; 0 for the engine's default. With PyTorch, those of the whole process.
        goal: `latency` for queries, `throughput` for many photographs at once.

    Raises:
        DacoError: there is no such device, it does not support this precision, or a package is not installed.
    """
    where = pick_device(device)
    if where != CPU:
        engine: Engine = pytorch("A GPU needs PyTorch").engine(encoder, where, precision, goal == "latency")
        return engine
    try:
        from daco_index.embedding.engines.openvino import OpenVinoEngine
    except ImportError as error:
        return _pytorch_on_cpu(encoder, precision, threads, f"OpenVINO cannot be loaded ({error})")
    encoder = with_network(encoder)
    if encoder.network is None:
        return _pytorch_on_cpu(encoder, precision, threads, f"{encoder.name} cannot be exported to ONNX")
    return OpenVinoEngine(encoder, precision, quantised, threads, goal)


def _pytorch_on_cpu(encoder: StoredEncoder, precision: Precision, threads: int, why: str) -> Engine:
    engine: Engine = pytorch(f"{why}: pip install 'daco-serve[cpu]'. PyTorch could take its place").engine(
        encoder, CPU, precision, threads=threads
    )
    log.warning("%s: using PyTorch instead, which is slower.", why)
    return engine


def best_precision(proved: Precision, device: str) -> tuple[Precision, str]:
    """The precision closest to a tested one that a machine supports; and the reason, if it is another one.

    Raises:
        DacoError: there is no such device.
    """
    where = pick_device(device)
    if proved == "int8" and where != CPU:
        return "fp32", "int8 is for CPUs"
    if proved == "bf16" and not _has_bf16(where):
        return "fp32", f"this {'CPU' if where == CPU else 'GPU'} has no bf16"
    return proved, ""


def _has_bf16(device: str) -> bool:
    if device != CPU:
        return bool(pytorch("A GPU needs PyTorch").has_bf16())
    try:
        from daco_index.embedding.engines.openvino import has_bf16
    except ImportError:
        return False
    return has_bf16()
