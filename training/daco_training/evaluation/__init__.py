"""Measures the recall of an encoder during and after training."""
