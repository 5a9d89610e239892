"""Training: learns an encoder from photographs, with PyTorch."""
