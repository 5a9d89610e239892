"""Benchmarks: recall, comparisons, calibration and speed, one command each."""
