"""The training loop, and what it needs: settings, recipes, checkpoints, batch norm over processes, CUDA graphs."""
