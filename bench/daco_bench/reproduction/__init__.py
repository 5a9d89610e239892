"""A reproduction of the published comparison of methods, at a stated scale."""
