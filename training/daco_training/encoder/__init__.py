"""Encoders: backbones, pooling, whitening, their sources, and their files."""
