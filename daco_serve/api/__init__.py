"""Encoders, indexes and their evaluation in a Python program, without a server."""
