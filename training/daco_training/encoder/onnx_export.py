"""Exports encoders to ONNX, to run without PyTorch: from the image to the descriptor in one network."""

import copy
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from daco_core.encoder.config import is_hub
from daco_core.encoder.stored import DESCRIPTOR, LOCAL, MAP_PREFIX
from daco_core.errors import DacoError, MissingExtra
from daco_core.log_levels import only_errors
from daco_training.encoder.encoder import Encoder
from daco_training.encoder.pooling import GridPooling, PlacePooling

OPSET = 17  # of 2022; the first with LayerNormalization
INPUT = "images"
TOLERANCE = 1e-4  # the largest accepted difference of a number in a descriptor of length 1 from PyTorch's
SMALL = 16  # numbers; for smaller tensors a Cast is not worthwhile
CUBIC = -0.5  # parameter a of the cubic kernel that PyTorch uses for resizing with antialiasing

log = logging.getLogger(__name__)


class NotExportable(DacoError):
    """An encoder that ONNX cannot express, or that gives another result there than in PyTorch."""


@dataclass(frozen=True)
class Exported:
    """An encoder in ONNX: the bytes of the file, and its entry in `encoder.json` without their hash."""

    content: bytes
    described: dict[str, Any]


class _Network(nn.Module):
    """The exported network: (n, 3, h, w) to descriptors (n, d), local descriptors for a fixed grid, and the maps."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        pooling = self.encoder.pooling
        maps = self.encoder.feature_maps(images)
        if not isinstance(pooling, GridPooling):
            return self.encoder.descriptors(pooling(maps)), *maps
        fixed = self.encoder.config.resize == "square"
        grids = [functional.normalize(_grid_means(level, pooling.cells, fixed), dim=-1) for level in maps]
        features = pooling.reduced(grids)
        if isinstance(pooling, PlacePooling):
            features = pooling.joined(features, pooling.means(maps))
        descriptor = self.encoder.descriptors(features)
        return (descriptor, pooling.local(maps), *maps) if fixed else (descriptor, *maps)


def export_onnx(encoder: Encoder) -> Exported:
    """Exports an encoder to ONNX, and compares it with PyTorch if OpenVINO is installed.

    Numbers that a 16-bit float represents exactly, such as those of a packed encoder, are stored in 16 bits. The file
    accepts batches of any size, unless a third-party network requires single images.

    Raises:
        NotExportable: ONNX cannot express it for every image shape that it accepts, or gives another result.
        MissingExtra: the package onnx is missing.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingExtra("model.onnx needs the package onnx: pip install 'daco-serve[train]'.") from error
    was_training = encoder.training
    on_cpu = next(encoder.parameters()).device.type == "cpu"
    # a copy, because a captured CUDA graph of training holds the addresses of the weights on the GPU
    network = _Network((encoder if on_cpu else copy.deepcopy(encoder).cpu()).eval())
    try:
        if not is_hub(encoder.config.backbone):
            return _export(encoder, network, any_batch=True)
        try:
            return _export(encoder, network, any_batch=True)
        except NotExportable:
            return _export(encoder, network, any_batch=False)
    finally:
        encoder.train(was_training)


def _export(encoder: Encoder, network: _Network, any_batch: bool) -> Exported:
    import onnx

    examples = _examples(encoder, any_batch)
    buffer = io.BytesIO()
    try:
        with torch.no_grad():
            outputs = network(examples[0])
        names = _output_names(encoder, len(outputs))
        # the log advises to use a newer exporter, which needs more packages
        quiet = only_errors("torch.onnx")
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), _smoothing_by_matrices(), quiet:
            warnings.simplefilter("ignore")  # of tracing; errors are detected by the comparison below
            torch.onnx.export(
                network,
                (examples[0],),
                buffer,  # type: ignore[arg-type]  # the exporter used here accepts a buffer, too
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=names,
                dynamic_axes=_free_axes(encoder, names, any_batch),
                training=torch.onnx.TrainingMode.PRESERVE,  # keeps batch norms separate, so that weights are unchanged
            )
        model = onnx.load_from_string(buffer.getvalue())
        _halve_what_is_exact(model)
        content = model.SerializeToString()
        _compare(network, content, names, examples)
    except NotExportable:
        raise
    except Exception as error:  # tracing or converting backbones and third-party code can fail in many ways
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise NotExportable(f"{encoder.name} cannot be exported to ONNX: {type(error).__name__}: {reason}") from error
    return Exported(content, _describe(encoder, names, outputs, any_batch))


def _output_names(encoder: Encoder, count: int) -> list[str]:
    levels = encoder.pooling.levels
    return [DESCRIPTOR, *([LOCAL] if count > levels + 1 else []), *(f"{MAP_PREFIX}{level}" for level in range(levels))]


def _free_axes(encoder: Encoder, names: Sequence[str], any_batch: bool) -> dict[str, dict[int, str]]:
    """The axes of variable length: the batch; and height and width if images of any shape are accepted."""
    axes: dict[str, dict[int, str]] = {name: {0: "n"} if any_batch else {} for name in (INPUT, *names)}
    if encoder.config.resize == "shorter":
        axes[INPUT] |= {2: "height", 3: "width"}
        for name in names:
            if name.startswith(MAP_PREFIX):
                axes[name] |= {2: f"{name}_height", 3: f"{name}_width"}
    return axes


def _describe(encoder: Encoder, names: Sequence[str], outputs: Sequence[Tensor], any_batch: bool) -> dict[str, Any]:
    axes = _free_axes(encoder, names, any_batch)
    size = encoder.config.image_size

    def shape(name: str, sides: Sequence[int]) -> list[int | str]:
        return [axes[name].get(axis, side) for axis, side in enumerate(sides)]

    return {
        "opset": OPSET,
        "input": {"name": INPUT, "type": "float32", "shape": shape(INPUT, (1, 3, size, size))},
        "descriptor": DESCRIPTOR,
        "outputs": {name: shape(name, tuple(output.shape)) for name, output in zip(names, outputs, strict=True)},
    }


def _examples(encoder: Encoder, any_batch: bool) -> list[Tensor]:
    """Example images of accepted shapes; a wide and a tall one if any shape is accepted."""
    size = encoder.config.image_size
    longer = size * 4 // 3 if encoder.config.resize == "shorter" else size
    generator = torch.Generator().manual_seed(0)
    return [
        torch.rand(number, 3, *sides, generator=generator)
        for number, sides in ((1, (size, longer)), (2 if any_batch else 1, (longer, size)))
    ]


def _grid_means(level: Tensor, cells: tuple[int, int], fixed: bool) -> Tensor:
    """Like `GridPooling.average` before the normalisation, but by two matrices: ONNX lacks adaptive pooling.

    (n, c, h, w) to (n, cells, c).
    """
    height, width = level.shape[-2:]
    down, across = (
        _bins(int(side) if fixed else side, count) for side, count in zip((height, width), cells, strict=True)
    )
    means: Tensor = (down @ level.float() @ across.transpose(-1, -2)).flatten(2).transpose(-1, -2)
    return means


def _bins(side: Any, count: int) -> Tensor:
    """Means over `count` sections of a side, divided as in `torch.nn.AdaptiveAvgPool2d`: (count, side)."""
    number = torch.arange(count)[:, None]
    start, end = (number * side) // count, ((number + 1) * side + count - 1) // count
    at = torch.arange(side)[None]
    means: Tensor = ((at >= start) & (at < end)).float() / (end - start).float()
    return means


def _halve_what_is_exact(model: Any) -> None:
    """Stores every initializer that 16-bit floats represent exactly in 16 bits, followed by a Cast."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for initializer in model.graph.initializer:
        if initializer.data_type != TensorProto.FLOAT:
            continue
        numbers = numpy_helper.to_array(initializer)
        with np.errstate(over="ignore"):
            halved = numbers.astype(np.float16)
        if numbers.size <= SMALL or not np.array_equal(halved.astype(np.float32), numbers):
            continue
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(halved, f"{name}.half"))
        casts.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT))
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([*casts, *nodes])


@torch.inference_mode()
def _compare(network: nn.Module, content: bytes, names: Sequence[str], examples: Sequence[Tensor]) -> None:
    try:
        from daco_core.encoder.openvino_runtime import openvino
    except ImportError:
        log.warning("model.onnx was not compared with PyTorch, because OpenVINO is not installed.")
        return
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for images in examples:
        got = compiled(images.numpy())
        for name, expected in zip(names, network(images), strict=True):
            if not name.startswith(MAP_PREFIX) and not _alike(expected.numpy(), got[name]):
                height, width = images.shape[2:]
                raise NotExportable(
                    f"For an image of {width} x {height} pixels, the output {name} of ONNX differs from PyTorch's."
                )


def _alike(expected: NDArray[np.float32], got: NDArray[np.float32]) -> bool:
    return got.shape == expected.shape and bool((np.abs(got - expected) <= TOLERANCE).all())


@contextmanager
def _smoothing_by_matrices() -> Iterator[None]:
    """Makes `interpolate` use matrices for bicubic resizing with antialiasing, which vision transformers need."""
    interpolate = functional.interpolate

    def resize(images: Tensor, *arguments: Any, **options: Any) -> Tensor:
        size = options.get("size", arguments[0] if arguments else None)
        if not options.get("antialias") or options.get("mode") != "bicubic" or size is None:
            return interpolate(images, *arguments, **options)
        down, across = (_cubic(new, old) for new, old in zip(size, images.shape[-2:], strict=True))
        return down @ images @ across.transpose(-1, -2)

    functional.interpolate = resize  # type: ignore[assignment]
    try:
        yield
    finally:
        functional.interpolate = interpolate


def _cubic(new: Any, old: Any) -> Tensor:
    """The matrix (new, old) for resizing a side from `old` to `new` by bicubic interpolation with antialiasing.

    Source: Keys, "Cubic Convolution Interpolation for Digital Image Processing", 1981; stretched when shrinking.
    """
    scale = torch.as_tensor(old).float() / torch.as_tensor(new).float()
    centre = (torch.arange(new).float() + 0.5) * scale
    x = ((torch.arange(old).float() + 0.5)[None] - centre[:, None]).abs() / scale.clamp(min=1.0)
    near = ((CUBIC + 2) * x - (CUBIC + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * CUBIC - 4 * CUBIC
    weights = near * (x < 1).float() + far * ((x >= 1) & (x < 2)).float()
    return weights / weights.sum(dim=1, keepdim=True)
