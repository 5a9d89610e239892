"""Where photographs were taken: read from tables beside them, from their names, or from their EXIF."""

from training.datasets.positions.read import locate, read_positions

__all__ = ["locate", "read_positions"]
