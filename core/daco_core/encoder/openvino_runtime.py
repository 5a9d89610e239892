"""OpenVINO, imported without its telemetry."""

import sys

# It and NNCF would send statistics of their use to their makers, and ask for consent on the terminal. Where this
# package cannot be imported both do without; so nothing of theirs may be imported before this module.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402

__all__ = ["openvino"]
