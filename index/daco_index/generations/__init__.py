"""An index on disk is a folder of immutable generations: written, published, changed, rolled back, verified."""
