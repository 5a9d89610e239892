"""Photographs in, encoder out."""
