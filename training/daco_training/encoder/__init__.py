"""Encoders: backbones, pooling, whitening, where they come from, and their saved form."""
