"""Where photographs were taken: read from tables beside them, from their names, or from their EXIF."""

from daco_core.photographs.positions.read import locate, read_positions

__all__ = ["locate", "read_positions"]
