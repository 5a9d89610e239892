"""Streets of the demo city as geometry and textures."""
