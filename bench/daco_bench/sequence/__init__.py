"""Recall of a sequence of frames."""
