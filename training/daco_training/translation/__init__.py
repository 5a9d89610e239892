"""Makes `generated/` out of `original/`: one file per translator."""
