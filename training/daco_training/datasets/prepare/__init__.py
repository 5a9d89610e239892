"""Converts official downloads and plain folders to the published layout: one module for each, plus shared ones."""
