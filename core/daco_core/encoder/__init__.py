"""What an encoder is on disk, and how an image is prepared for it: no PyTorch."""
