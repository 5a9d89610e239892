"""The training loop: settings, recipes, checkpoints, batch norm across processes, CUDA graphs."""
