"""What runs an encoder: OpenVINO on a CPU, PyTorch on a GPU and for what cannot be exported."""
