"""Recall, comparisons and speed, each at one command."""
