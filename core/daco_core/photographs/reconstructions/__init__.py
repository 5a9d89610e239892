"""Reads the camera poses of other programs' reconstructions as positions of photographs in a local frame."""

from daco_core.photographs.reconstructions.placement import CameraNames, Cameras, Up, place_cameras
from daco_core.photographs.reconstructions.read import find_reconstruction, read_reconstruction

__all__ = ["CameraNames", "Cameras", "Up", "find_reconstruction", "place_cameras", "read_reconstruction"]
