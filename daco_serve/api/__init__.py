"""Encoders, indexes and recall for a Python program, without a server."""
