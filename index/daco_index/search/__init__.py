"""Vector stores, the choice and tuning of their index, the catalogue, and the bundle of all three."""
