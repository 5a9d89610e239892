"""Builds streets of the demo city as geometry and textures."""
