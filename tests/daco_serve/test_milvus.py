"""A server whose index has its vectors in Milvus."""

from pathlib import Path
from typing import Any

import httpx

from daco_index.build import BuildOptions, build_index
from daco_index.generations.change import remove_photographs

from .conftest import hosted
from .test_refusals import refused


def test_a_server_with_milvus_answers_follows_changes_and_reports_an_unreachable_milvus(
    photographs: Path, encoder_folder: Path, own_milvus: Any, tmp_path: Path
) -> None:
    out = tmp_path / "map"
    build_index(
        str(photographs),
        str(encoder_folder),
        out,
        BuildOptions(device="cpu", progress=False, store=own_milvus.address("map")),
    )
    content = (photographs / "4.png").read_bytes()
    with hosted(out, reload_seconds=0.1) as address, httpx.Client(base_url=address, timeout=30) as client:

        def best() -> str:
            return str(client.post("/v1/query?k=1", content=content).json()["matches"][0]["place"])

        assert client.get("/readyz").status_code == 200
        assert best() == "place 4"

        own_milvus.stop()
        away = client.get("/readyz")
        refused(away, 503, "store_away")
        assert str(own_milvus.port) not in away.json()["error"]["message"]  # anybody may ask, without a key
        refused(client.post("/v1/query", content=content), 503, "store_away")
        assert client.get("/healthz").status_code == 200

        own_milvus.start()
        assert comes_to(client, "/readyz", 200)
        assert best() == "place 4"

        remove_photographs(out, places=["place 4"])
        assert any(best() != "place 4" for _ in range(100))


def comes_to(client: httpx.Client, path: str, status: int) -> bool:
    """Whether an address answers so within some tries, each of which waits for Milvus."""
    return any(client.get(path).status_code == status for _ in range(10))
