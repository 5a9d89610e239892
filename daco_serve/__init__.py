"""Photograph in over HTTP, places out; and the benchmarks."""
