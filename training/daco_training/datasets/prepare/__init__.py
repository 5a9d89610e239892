"""Official downloads and plain folders into the published layout: one file each, `placing.py` for what they share."""
