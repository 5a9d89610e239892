"""Recall benchmarks: one encoder, several methods, twins, the parts of a recipe, calibration."""
