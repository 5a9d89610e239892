"""The published comparison of methods, made again at a scale that is stated."""
