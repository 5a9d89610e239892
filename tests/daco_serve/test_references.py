"""Reference photographs are served by id, and only by id."""

import asyncio
import errno
import hashlib
import os
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

from daco_index.build import BuildOptions, build_index
from daco_index.search.catalog import Entry
from daco_serve.engine.references import files as files_module
from daco_serve.engine.references.files import ReferenceFiles

from .conftest import hosted
from .test_indexes import wait_for
from .test_refusals import refused


def test_a_reference_is_served_unchanged_from_disk(client: httpx.Client, photographs: Path) -> None:
    response = client.get("/v1/references/2/image")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.content == (photographs / "2.png").read_bytes()


def test_a_reference_that_the_client_has_cached_is_not_sent_again(client: httpx.Client) -> None:
    for address in ("/v1/references/2/image", "/v1/references/2/image?width=50"):
        tag = client.get(address).headers["etag"]
        again = client.get(address, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")


def test_conditional_requests_work_in_every_form_of_http(client: httpx.Client) -> None:
    address = "/v1/references/2/image"
    tag = client.get(address).headers["etag"]
    for known in (f"W/{tag}", f'"other", {tag}', f'W/"a",W/{tag} , "b"', "*"):
        answer = client.get(address, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), known
    fields = [("If-None-Match", '"a"'), ("If-None-Match", tag)]
    assert client.get(address, headers=fields).status_code == 304
    for unknown in ('"other"', tag[1:-1], f"{tag[:-1]}x{tag[-1]}", '"*"', ""):
        assert client.get(address, headers={"If-None-Match": unknown}).status_code == 200, unknown


def test_a_reduced_image_has_the_requested_width(client: httpx.Client) -> None:
    response = client.get("/v1/references/2/image?width=50")
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(response.content)).size == (50, 40)
    assert Image.open(BytesIO(client.get("/v1/references/2/image?width=2000").content)).size == (200, 160)


def test_the_data_of_a_reference_are_returned(client: httpx.Client) -> None:
    answer = client.get("/v1/references/0").json()
    assert answer == {
        "id": 0,
        "place": "place 0",
        "latitude": 35.0,
        "longitude": 139.0,
        "heading": 90.0,
        "altitude": None,
        "floor": None,
        "local": None,
        "file": None,
        "width": 200,
        "height": 160,
        "image": "/v1/references/0/image",
    }


def test_unknown_ids_are_answered_with_404(client: httpx.Client) -> None:
    for number in ("6", "-1", "9" * 30):
        refused(client.get(f"/v1/references/{number}"), 404, "unknown_reference")
        refused(client.get(f"/v1/references/{number}/image"), 404, "unknown_reference")
    refused(client.get("/v1/references/..%2f..%2fetc%2fpasswd/image"), 404, "not_found")
    refused(client.get("/v1/references/0/image?width=9999"), 422, "invalid_request")


@pytest.fixture
def own_photographs(photographs: Path, encoder_folder: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Photographs that a test may change, and their index."""
    folder = tmp_path / "own"
    shutil.copytree(photographs, folder)
    build_index(str(folder), str(encoder_folder), tmp_path / "map", BuildOptions(device="cpu", progress=False))
    return folder, tmp_path / "map"


@pytest.mark.parametrize("width", ["", "?width=50"])
def test_a_reference_whose_file_was_replaced_is_gone(own_photographs: tuple[Path, Path], width: str) -> None:
    folder, index = own_photographs
    secret = folder.parent / "secret.png"
    shutil.copy(folder / "1.png", secret)
    with hosted(index) as address:
        assert httpx.get(f"{address}/v1/references/0/image").status_code == 200
        for file in (folder / "0.png", folder / "2.png"):
            file.unlink()
        (folder / "0.png").symlink_to(secret)
        os.mkfifo(folder / "2.png")
        (folder / "3.png").write_bytes((folder / "3.png").read_bytes()[:-1])
        (folder / "4.png").unlink()
        for number in (0, 2, 3, 4):
            refused(httpx.get(f"{address}/v1/references/{number}/image{width}"), 410, "reference_gone")
        assert httpx.get(f"{address}/v1/references/5/image{width}").status_code == 200


def test_a_disk_that_hangs_or_fails_stops_neither_queries_nor_the_server(
    index: Path, photographs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = (photographs / "3.png").read_bytes()
    hangs = threading.Event()
    failing = {
        5: errno.EIO,
        4: errno.EMFILE,
    }  # a disk that fails, and no descriptors left: neither is a photograph gone
    read = files_module._matching_content

    def read_slowly(entry: Entry) -> bytes:
        if entry.id in failing:
            raise OSError(failing[entry.id], os.strerror(failing[entry.id]))
        hangs.wait(30)
        return read(entry)

    monkeypatch.setattr(files_module, "_matching_content", read_slowly)
    monkeypatch.setattr(files_module, "SECONDS", 0.3)
    with hosted(index) as address:
        for number in failing:
            refused(httpx.get(f"{address}/v1/references/{number}/image"), 503, "reference_away")
        with ThreadPoolExecutor(12) as pool:
            asked = [
                pool.submit(httpx.get, f"{address}/v1/references/{n % 4}/image?width=50", timeout=30) for n in range(12)
            ]
            for future in asked:
                refused(future.result(), 503, "reference_away")
        assert httpx.get(f"{address}/healthz", timeout=2).status_code == 200
        assert httpx.post(f"{address}/v1/query", content=content, timeout=5).status_code == 200
        hangs.set()
        wait_for(lambda: httpx.get(f"{address}/v1/references/1/image?width=50").status_code == 200)


def test_a_reduced_image_is_decoded_small_and_cached(photographs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = BytesIO()
    Image.new("RGB", (4000, 3000), "navy").save(buffer, "JPEG")
    content = buffer.getvalue()
    entry = Entry(1, "/x.jpg", "x", None, None, None, 4000, 3000, hashlib.sha256(content).hexdigest())
    decoded: list[tuple[int, int]] = []
    reduced = files_module.open_reduced

    def open_reduced(path: str, size: int, content: bytes) -> tuple[Image.Image, tuple[int, int]]:
        image, full = reduced(path, size, content)
        decoded.append(image.size)
        return image, full

    monkeypatch.setattr(files_module, "open_reduced", open_reduced)
    monkeypatch.setattr(files_module, "_matching_content", lambda entry: content)
    references = ReferenceFiles(1)
    for _ in range(3):
        made = asyncio.run(references.thumbnail(entry, 480))
        assert Image.open(BytesIO(made)).size == (480, 360)
    assert decoded == [(1000, 750)]  # a quarter, which is more than twice what is wanted; once
    references.close()
