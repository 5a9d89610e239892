"""Photographs: decoding them as upright RGB images, their positions, and the published folder layout."""
