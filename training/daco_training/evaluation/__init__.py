"""Recall of an encoder during and after training."""
