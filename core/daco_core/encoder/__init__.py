"""Encoders on disk, and how images are prepared for them. No PyTorch."""
