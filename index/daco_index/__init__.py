"""Encoder and reference photographs in, map out."""
