"""Searches an index: vector stores, the choice and tuning of the search index, the catalogue, and the bundle of all."""
