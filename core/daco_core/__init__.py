"""What every other package builds on: photographs, positions, files, errors, the console. No PyTorch, no web."""
