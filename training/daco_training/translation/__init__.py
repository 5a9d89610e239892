"""Translators: they make the generated twins in `generated/` from `original/`."""
