"""Estimates what a photograph shows: depth, sky, lamps, light."""
