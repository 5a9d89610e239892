"""Engines that run an encoder: OpenVINO on a CPU; PyTorch on a GPU and for what cannot be exported."""
