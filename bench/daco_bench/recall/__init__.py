"""Recall benchmarks: of one encoder, of several methods, of translators, and of the parts of a recipe."""
