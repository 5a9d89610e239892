"""Photographs to descriptors: engines, precision, cache, Ray."""
