"""Benchmark results as tables, HTML pages, and one report of all benchmarks."""
