"""A LitServe server of an encoder in eager PyTorch, with LitServe's batching and a worker for each core.

Run as a program: `python -m daco_bench.speed.serving.litserve_rival INDEX PORT CORES`.
"""

import sys
from pathlib import Path
from typing import Any

import litserve
import torch
from fastapi import Request
from torch import Tensor

from daco_bench.speed.serving.rival import Rival


class QueryAPI(litserve.LitAPI):  # type: ignore[misc]
    """Decodes, batches images of the same shape, embeds and searches."""

    def setup(self, device: str) -> None:
        torch.set_num_threads(1)
        self.rival = Rival(Path(sys.argv[1]))

    def decode_request(self, request: Request) -> Tensor:
        return self.rival.prepare(request["image"].file.read())  # type: ignore[index]

    def batch(self, inputs: list[Tensor]) -> list[Tensor]:
        return inputs

    def predict(self, tensors: list[Tensor]) -> list[Tensor]:
        described: dict[int, Tensor] = {}
        for shape in {tensor.shape for tensor in tensors}:
            rows = [row for row, tensor in enumerate(tensors) if tensor.shape == shape]
            vectors = self.rival.embed(torch.stack([tensors[row] for row in rows]))
            described |= dict(zip(rows, vectors, strict=True))
        return [described[row] for row in range(len(tensors))]

    def unbatch(self, output: list[Tensor]) -> list[Tensor]:
        return output

    def encode_response(self, output: Tensor) -> dict[str, Any]:
        return self.rival.look_up(output)


if __name__ == "__main__":
    api = QueryAPI(max_batch_size=16, batch_timeout=0.005, api_path="/query")
    server = litserve.LitServer(api, accelerator="auto", workers_per_device=int(sys.argv[3]))
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="warning", generate_client_file=False)
