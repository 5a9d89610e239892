"""OpenVINO, imported without its telemetry and without its converter of other formats."""

import sys

from daco_core.extras import import_without

# OpenVINO and NNCF would send usage statistics to their vendor, and ask for consent on the terminal. If the telemetry
# package cannot be imported, both work without it; so this module must be imported before any of theirs.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

# the converter is imported if it is installed, which doubles the time of the import
with import_without("openvino.tools.ovc"):
    import openvino

__all__ = ["openvino"]
