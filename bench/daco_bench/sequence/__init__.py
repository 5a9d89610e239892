"""Recall on sequences of frames."""
