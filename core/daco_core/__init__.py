"""What every other component stands on: photographs, positions, files, errors, the console. No PyTorch, no web."""
