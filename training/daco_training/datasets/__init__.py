"""Where training and validation photographs lie, and how they become tensors."""
