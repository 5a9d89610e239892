"""OpenVINO, imported without its telemetry and without its converter of other formats."""

import sys

# OpenVINO and NNCF would send usage statistics to their vendor, and ask for consent on the terminal. If the telemetry
# package cannot be imported, both work without it; so this module must be imported before any of theirs.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# OpenVINO imports its converter if it is installed, which doubles the time of the import. It can be imported later.
CONVERTER = "openvino.tools.ovc"
sys.modules.setdefault(CONVERTER, None)  # type: ignore[arg-type]

import openvino  # noqa: E402

if sys.modules[CONVERTER] is None:
    del sys.modules[CONVERTER]

__all__ = ["openvino"]
