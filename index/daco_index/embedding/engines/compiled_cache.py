"""Caches networks that OpenVINO has compiled, so that a restarted server need not compile them again."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from daco_core.encoder.cache import cache_folder
from daco_core.encoder.openvino_runtime import openvino
from daco_core.files import write_bytes

log = logging.getLogger(__name__)

HASH_BYTES = 32


def compiled(network: str, build: Callable[[], Any], settings: Mapping[str, Any]) -> Any:
    """A network for the CPU; from the cache if this OpenVINO version compiled it before for this processor.

    A cached file begins with its SHA-256; a damaged file is ignored. Measured on one core: compiling EfficientNet-Lite0
    takes 0.5 s of CPU time, reading the compiled network 0.1 s.

    Args:
        network: identifies the network, such as the hash of its file.
        build: returns the network to compile, as an OpenVINO model.
    """
    core = openvino.Core()
    device = core.get_property("CPU", "FULL_DEVICE_NAME"), core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    key = json.dumps([network, openvino.get_version(), *device, sorted(settings.items())])
    file = cache_folder() / "compiled" / f"{hashlib.sha256(key.encode()).hexdigest()}.blob"
    with suppress(OSError, RuntimeError):
        content = file.read_bytes()
        kept = content[HASH_BYTES:]
        if hashlib.sha256(kept).digest() == content[:HASH_BYTES]:
            return core.import_model(kept, "CPU", dict(settings))
    made = core.compile_model(build(), "CPU", dict(settings))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        exported = made.export_model().getvalue()
        write_bytes(file, hashlib.sha256(exported).digest() + exported)
    except (OSError, RuntimeError) as error:  # a full disk, or a read-only home folder, as in a container
        log.debug("The compiled network cannot be stored in %s (%s).", file.parent, error)
    return made
