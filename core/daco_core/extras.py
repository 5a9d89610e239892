"""Packages of others: which extra installs a missing one, and how one is imported without a part that nobody needs."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

EXTRAS = {
    "aiohttp": "bench",
    "av": "video",
    "drjit": "demo",
    "faiss": "cpu",
    "fastapi": "cpu",
    "fastapi_offline": "cpu",
    "fsspec": "cpu",
    "gpxpy": "gpx",
    "h5py": "hloc",
    "hnswlib": "bench",
    "huggingface_hub": "hf",
    "jinja2": "plot",
    "lightning_fabric": "train",
    "limits": "cpu",
    "litserve": "bench",
    "matplotlib": "plot",
    "mitsuba": "demo",
    "multipart": "cpu",
    "nncf": "int8",
    "onnx": "train",
    "openTSNE": "plot",
    "openvino": "cpu",
    "prometheus_client": "cpu",
    "psutil": "bench",
    "pyarrow": "parquet",
    "pycolmap": "colmap",
    "pymilvus": "milvus",
    "python_multipart": "cpu",
    "pythonjsonlogger": "cpu",
    "pi_heif": "heif",
    "ray": "ray",
    "rosbags": "robots",
    "safetensors": "train",
    "starlette": "cpu",
    "timm": "train",
    "torch": "train",
    "torchvision": "train",
    "usearch": "bench",
    "uvicorn": "cpu",
    "websockets": "cpu",
}


def missing_package(error: ImportError) -> str | None:
    """A sentence that says which extra installs the missing package; None if no extra does."""
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    extra = EXTRAS[package]
    on_gpu = ", or 'daco-serve[gpu]' for an NVIDIA GPU" if extra == "cpu" else ""
    return f"This needs {package}, which is not installed: pip install 'daco-serve[{extra}]'{on_gpu}."


@contextmanager
def import_without(module: str) -> Iterator[None]:
    """Within it, `module` cannot be imported: a package that works without it is imported sooner. Afterwards it can be.

    If it was imported before, it stays.
    """
    sys.modules.setdefault(module, None)  # type: ignore[arg-type]
    try:
        yield
    finally:
        if sys.modules[module] is None:
            del sys.modules[module]
