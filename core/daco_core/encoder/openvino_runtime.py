"""OpenVINO, imported without its telemetry."""

import sys

# OpenVINO and NNCF would send usage statistics to their makers, and ask for consent on the terminal. If the telemetry
# package cannot be imported, both work without it; so this module must be imported before anything of theirs.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

__all__ = ["openvino"]
