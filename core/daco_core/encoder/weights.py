"""Reads the weights of an encoder, `model.safetensors`, without PyTorch: to check them, and to compute fingerprints."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daco_core.encoder.config import FORM, EncoderConfig
from daco_core.errors import DamagedEncoder

MAX_HEADER_BYTES = 100 << 20  # the limit of safetensors itself
FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class Tensor(NamedTuple):
    """A tensor of the file: its name, its type by safetensors' name, and its bytes."""

    name: str
    kind: str
    content: memoryview

    @property
    def is_finite(self) -> bool:
        """Whether every number is finite; always so for integers."""
        if self.kind == "BF16":  # the upper half of a float32; an exponent of all ones means infinity or NaN
            return bool(((np.frombuffer(self.content, np.uint16) & 0x7F80) != 0x7F80).all())
        return self.kind not in FLOATS or bool(np.isfinite(np.frombuffer(self.content, FLOATS[self.kind])).all())

    def widened(self) -> memoryview | NDArray[np.float32]:
        """The bytes as PyTorch holds them after loading: 16-bit floats become 32-bit floats."""
        return np.frombuffer(self.content, np.float16).astype(np.float32) if self.kind == "F16" else self.content


def read_weights(content: bytes, file: Path) -> Iterator[Tensor]:
    """Yields the tensors in the bytes of a `.safetensors` file, sorted by name.

    Source: the format's specification, https://github.com/huggingface/safetensors: eight bytes with the length of a
    JSON header, the header, the numbers.

    Raises:
        DamagedEncoder: it is damaged.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        if len(content) < 8 or length > min(MAX_HEADER_BYTES, len(content) - 8):
            raise ValueError("it ends before its header does")
        header: dict[str, Any] = json.loads(content[8 : 8 + length])
        numbers = memoryview(content)[8 + length :]
        for name in sorted(header.keys() - {"__metadata__"}):
            kind, (start, end) = header[name]["dtype"], header[name]["data_offsets"]
            count = int(np.prod(header[name]["shape"], dtype=np.int64))
            if not 0 <= start <= end <= len(numbers) or end - start != count * ITEM_BYTES[kind]:
                raise ValueError(f"{name} is incomplete")
            yield Tensor(name, kind, numbers[start:end])
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedEncoder(f"{file} is damaged: {error}.") from error


def fingerprint(config: EncoderConfig, tensors: Iterable[tuple[str, Any]]) -> str:
    """SHA-256 over everything that affects a descriptor: equal fingerprints give equal descriptors.

    For a network from torch.hub, its weights and its name count. Its code does not, although others may change it.

    Args:
        tensors: name and bytes of each tensor as PyTorch holds it, sorted by name.
    """
    digest = hashlib.sha256()
    for name in FORM:
        digest.update(f"{name}={getattr(config, name)!r};".encode())
    for name, content in tensors:
        digest.update(name.encode())
        digest.update(content)
    return digest.hexdigest()
