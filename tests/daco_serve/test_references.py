"""Reference photographs are served by id, and only by id."""

from io import BytesIO
from pathlib import Path

import httpx
from PIL import Image

from .test_refusals import refused


def test_a_reference_is_served_as_it_lies_on_disk(client: httpx.Client, photographs: Path) -> None:
    response = client.get("/v1/references/2/image")
    assert response.status_code == 200
    assert response.headers["content-type"] == "image/png"
    assert response.content == (photographs / "2.png").read_bytes()


def test_a_reference_that_the_client_has_is_not_sent_again(client: httpx.Client) -> None:
    for address in ("/v1/references/2/image", "/v1/references/2/image?width=50"):
        tag = client.get(address).headers["etag"]
        again = client.get(address, headers={"If-None-Match": tag})
        assert (again.status_code, again.content) == (304, b"")


def test_what_the_client_has_may_be_named_in_every_way_of_http(client: httpx.Client) -> None:
    address = "/v1/references/2/image"
    tag = client.get(address).headers["etag"]
    for known in (f"W/{tag}", f'"other", {tag}', f'W/"a",W/{tag} , "b"', "*"):
        answer = client.get(address, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag), known
    fields = [("If-None-Match", '"a"'), ("If-None-Match", tag)]
    assert client.get(address, headers=fields).status_code == 304
    for unknown in ('"other"', tag[1:-1], f"{tag[:-1]}x{tag[-1]}", '"*"', ""):
        assert client.get(address, headers={"If-None-Match": unknown}).status_code == 200, unknown


def test_a_smaller_form_has_the_width_that_was_asked_for(client: httpx.Client) -> None:
    response = client.get("/v1/references/2/image?width=50")
    assert response.headers["content-type"] == "image/jpeg"
    assert Image.open(BytesIO(response.content)).size == (50, 40)
    assert Image.open(BytesIO(client.get("/v1/references/2/image?width=2000").content)).size == (200, 160)


def test_what_is_known_of_a_reference(client: httpx.Client) -> None:
    answer = client.get("/v1/references/0").json()
    assert answer == {
        "id": 0,
        "place": "place 0",
        "latitude": 35.0,
        "longitude": 139.0,
        "heading": 90.0,
        "width": 200,
        "height": 160,
        "image": "/v1/references/0/image",
    }


def test_ids_that_the_index_does_not_have_are_404(client: httpx.Client) -> None:
    for number in ("6", "-1", "9" * 30):
        refused(client.get(f"/v1/references/{number}"), 404, "unknown_reference")
        refused(client.get(f"/v1/references/{number}/image"), 404, "unknown_reference")
    refused(client.get("/v1/references/..%2f..%2fetc%2fpasswd/image"), 404, "not_found")
    refused(client.get("/v1/references/0/image?width=9999"), 422, "invalid_request")
