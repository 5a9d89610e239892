"""Rejected requests get a 4xx status, a code and a message; no request causes a 5xx."""

import random
import socket
import struct
import zlib
from io import BytesIO
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image


def refused(response: httpx.Response, status: int, code: str) -> str:
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert set(response.json()) == {"error"} and error["code"] == code
    sentence: str = error["message"]
    assert sentence.endswith((".", ".jpg")) and "Traceback" not in sentence
    return sentence


def encoded(kind: str, size: tuple[int, int] = (64, 48)) -> bytes:
    buffer = BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(buffer, kind)
    return buffer.getvalue()


def png_bomb(width: int, height: int) -> bytes:
    """A PNG of a few kilobytes that claims, and would unpack to, so many grey pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1_000_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def dng() -> bytes:
    """A raw file: a TIFF container whose first picture is a thumbnail."""
    buffer = BytesIO()
    Image.new("RGB", (32, 24)).save(buffer, "TIFF", tiffinfo={50706: b"\1\4\0\0"})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"these are words, not pixels", "not_an_image"),
        (b"\0" * 1000, "not_an_image"),
        (encoded("GIF"), "unsupported_format"),
        (dng(), "unsupported_format"),
        (b"\0\0\0\x14ftypqt  " + bytes(100), "unsupported_format"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "unsupported_format"),
    ],
    ids=["text", "zeros", "gif", "dng", "mov", "svg"],
)
def test_an_unsupported_format_is_answered_with_415(client: httpx.Client, content: bytes, code: str) -> None:
    refused(client.post("/v1/query", files={"image": content}), 415, code)
    refused(client.post("/v1/query", content=content), 415, code)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP", "AVIF"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.9])
def test_a_truncated_image_is_reported_as_truncated(client: httpx.Client, kind: str, share: float) -> None:
    whole = encoded(kind)
    cut = whole[: max(16, int(share * len(whole)))]
    refused(client.post("/v1/query", content=cut), 422, "image_truncated")


def test_a_request_without_a_photograph_says_how_to_send_one(client: httpx.Client) -> None:
    refused(client.post("/v1/query"), 422, "no_image")
    refused(client.post("/v1/query", files={"image": b""}), 422, "no_image")
    assert "'image'" in refused(client.post("/v1/query", files={"photo": encoded("PNG")}), 422, "no_image")
    refused(client.post("/v1/query", data={"image": "a word"}, files={"other": b"x"}), 422, "no_image")


def test_a_broken_form_is_rejected(client: httpx.Client) -> None:
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x", "multipart/form-data; boundary="):
        refused(client.post("/v1/query", content=b"no form", headers={"Content-Type": kind}), 400, "bad_form")


def test_too_many_bytes_are_rejected_with_and_without_a_content_length(client: httpx.Client) -> None:
    pieces = [bytes(100_000)] * 31
    whole = b"".join(pieces)
    for response in (
        client.post("/v1/query", content=whole),
        client.post("/v1/query", content=iter(pieces)),
        client.post("/v1/query", files={"image": whole}),
    ):
        assert "3000000 bytes" in refused(response, 413, "image_too_large")


@pytest.mark.parametrize("size", [(2001, 2000), (60_000, 60_000), (30_000, 30_000)])
def test_a_decompression_bomb_is_rejected_before_it_is_unpacked(client: httpx.Client, size: tuple[int, int]) -> None:
    sentence = refused(client.post("/v1/query", content=png_bomb(*size)), 413, "image_too_large")
    assert "more than 4000000 pixels" in sentence  # unpacked, it would have been too much memory, or too slow


def test_an_extremely_narrow_image_is_rejected(client: httpx.Client) -> None:
    refused(client.post("/v1/query", content=encoded("PNG", (2000, 2))), 422, "image_too_narrow")


@pytest.mark.parametrize("k", ["0", "-1", "101", "many", "1.5", "9" * 40])
def test_k_outside_its_range_is_rejected_in_the_common_form(client: httpx.Client, k: str) -> None:
    refused(client.post(f"/v1/query?k={k}", content=encoded("PNG")), 422, "bad_k")


def test_unknown_addresses_and_methods_are_rejected_in_the_common_form(client: httpx.Client) -> None:
    refused(client.get("/nothing"), 404, "not_found")
    refused(client.get("/web/../app.py"), 404, "not_found")
    refused(client.get("/web/%2e%2e/app.py"), 404, "not_found")
    refused(client.get("/v1/query"), 405, "method_not_allowed")


def test_no_damage_to_an_image_causes_a_5xx(client: httpx.Client) -> None:
    chance = random.Random(0)
    for number in range(90):
        content = bytearray(encoded(("JPEG", "PNG", "WEBP")[number % 3]))
        for _ in range(chance.choice((1, 5, 50))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        response = client.post("/v1/query", content=bytes(content))
        assert response.status_code in (200, 413, 415, 422), response.text


def test_a_client_that_disconnects_during_an_upload_does_no_harm(client: httpx.Client, server: str) -> None:
    with socket.create_connection((urlsplit(server).hostname, urlsplit(server).port)) as connection:
        connection.sendall(b"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nhalf")
    assert client.post("/v1/query", content=encoded("PNG")).status_code == 200


def test_the_api_document_lists_every_error_of_a_query(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    operation = document["paths"]["/v1/query"]["post"]
    assert {"400", "408", "413", "415", "422", "503"} <= set(operation["responses"])
    examples = operation["responses"]["422"]["content"]["application/json"]["examples"]
    assert {"no_image", "image_truncated", "bad_k"} <= set(examples)
    assert {"multipart/form-data", "image/jpeg"} <= set(operation["requestBody"]["content"])
