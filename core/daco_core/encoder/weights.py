"""The weights of an encoder, `model.safetensors`, read without PyTorch: to check them and to tell encoders apart."""

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from daco_core.encoder.config import FORM, EncoderConfig
from daco_core.errors import DamagedEncoder

MAX_HEADER_BYTES = 100 << 20  # as safetensors itself takes
FLOATS = {"F64": np.float64, "F32": np.float32, "F16": np.float16}
ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


class Tensor(NamedTuple):
    """A tensor of the file: its name, safetensors' name of its type, and its bytes."""

    name: str
    kind: str
    content: memoryview

    @property
    def is_finite(self) -> bool:
        """Whether every number is finite; always so for integers."""
        if self.kind == "BF16":  # the upper half of a float32, whose exponent of ones means infinity or no number
            return bool(((np.frombuffer(self.content, np.uint16) & 0x7F80) != 0x7F80).all())
        return self.kind not in FLOATS or bool(np.isfinite(np.frombuffer(self.content, FLOATS[self.kind])).all())

    def widened(self) -> memoryview | NDArray[np.float32]:
        """The bytes as PyTorch holds them once loaded: 16-bit floats become 32-bit ones."""
        return np.frombuffer(self.content, np.float16).astype(np.float32) if self.kind == "F16" else self.content


def read_weights(content: bytes, file: Path) -> Iterator[Tensor]:
    """The tensors in the bytes of a `.safetensors`, by rising name.

    Source: the format as its authors describe it, https://github.com/huggingface/safetensors: eight bytes with the
    length of a JSON header, the header, the numbers.

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

    Of a network from torch.hub its weights and its name count, but not its code, which others may change.

    Args:
        tensors: name and bytes of each, by rising name, as PyTorch holds them.
    """
    digest = hashlib.sha256()
    for name in FORM:
        digest.update(f"{name}={getattr(config, name)!r};".encode())
    for name, content in tensors:
        digest.update(name.encode())
        digest.update(content)
    return digest.hexdigest()
