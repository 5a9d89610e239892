"""Engines behind `VectorStore`: one file each."""
