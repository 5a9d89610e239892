"""Generations: writes, publishes, changes, rolls back and verifies the immutable versions of an index."""
