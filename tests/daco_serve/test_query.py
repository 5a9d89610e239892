"""A real server answers photographs of every kind with the right places."""

import subprocess
import sys
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

import daco_serve.engine
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_index.build import BuildOptions, build_index

from .conftest import hosted
from .test_refusals import refused

NUMBER = 3  # the photograph that the tests look up


@pytest.fixture
def photograph(photographs: Path) -> Image.Image:
    return Image.open(photographs / f"{NUMBER}.png").convert("RGB")


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def ids(response: httpx.Response) -> list[int]:
    assert response.status_code == 200, response.text
    return [match["id"] for match in response.json()["matches"]]


def test_a_form_is_answered_with_ranked_matches_a_location_and_timings(
    client: httpx.Client, photograph: Image.Image
) -> None:
    answer = client.post("/v1/query?k=4", files={"image": encoded(photograph)}).json()
    assert [match["rank"] for match in answer["matches"]] == [1, 2, 3, 4]
    best = answer["matches"][0]
    assert (best["id"], best["place"], best["heading"]) == (NUMBER, f"place {NUMBER}", 90)
    assert best["similarity"] == pytest.approx(1, abs=1e-4)
    assert (best["latitude"], best["longitude"]) == pytest.approx((35 + 30 / 111195, 139), abs=1e-6)
    assert best["image"] == f"/v1/references/{NUMBER}/image"
    similarities = [match["similarity"] for match in answer["matches"]]
    assert similarities == sorted(similarities, reverse=True)
    assert answer["location"]["latitude"] == pytest.approx(35, abs=1e-3)
    assert answer["location"]["uncertainty_metres"] >= 10
    timings = answer["timings"]
    parts = timings["decode_ms"] + timings["embed_ms"] + timings["search_ms"] + timings["rerank_ms"]
    assert 0 < parts <= timings["total_ms"] + 0.05
    assert answer["index"]["generation"] == 1 and answer["index"]["count"] == 6


def test_a_photograph_that_looks_like_a_panorama_gets_a_warning(client: httpx.Client, photograph: Image.Image) -> None:
    for size, kind, warned in (((128, 64), "PNG", True), ((128, 64), "JPEG", True), ((96, 72), "PNG", False)):
        answer = client.post("/v1/query", content=encoded(photograph.resize(size), kind)).json()
        assert bool(answer["warnings"]) == warned
        assert all("360-degree panorama" in warning for warning in answer["warnings"])


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", None])
def test_a_photograph_as_the_request_body_is_answered_like_a_form(
    client: httpx.Client, photograph: Image.Image, kind: str | None
) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    raw = client.post("/v1/query", content=encoded(photograph), headers=headers)
    assert ids(raw) == ids(client.post("/v1/query", files={"image": encoded(photograph)}))
    assert len(ids(raw)) == 5  # the default k


def test_k_larger_than_the_index_returns_all_of_it_with_the_same_location(
    client: httpx.Client, photograph: Image.Image
) -> None:
    one, many = (client.post(f"/v1/query?k={k}", content=encoded(photograph)) for k in (1, 100))
    assert len(ids(one)) == 1
    assert sorted(ids(many)) == [0, 1, 2, 3, 4, 5]
    assert one.json()["location"] == many.json()["location"]


def upside_down(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 3
    return encoded(image.transpose(Image.Transpose.ROTATE_180), exif=exif)


def sideways(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image.transpose(Image.Transpose.ROTATE_90), exif=exif)


@pytest.mark.parametrize("turned", [upside_down, sideways])
def test_a_photograph_rotated_by_exif_gets_the_answer_of_the_upright_one(
    client: httpx.Client, photograph: Image.Image, turned: Callable[[Image.Image], bytes]
) -> None:
    upright = client.post("/v1/query", content=encoded(photograph)).json()
    answer = client.post("/v1/query", content=turned(photograph)).json()
    assert answer["matches"] == upright["matches"]


def sixteen_bit(image: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257))


@pytest.mark.parametrize(
    ("of_kind", "same_as"),
    [
        (lambda image: encoded(image, "WEBP", lossless=True), lambda image: image),
        (lambda image: encoded(image.convert("RGBA")), lambda image: image),
        (lambda image: encoded(image.quantize(64)), lambda image: image.quantize(64).convert("RGB")),
        (lambda image: encoded(image.convert("L")), lambda image: image.convert("L").convert("RGB")),
        (sixteen_bit, lambda image: image.convert("L").convert("RGB")),
        (
            lambda image: encoded(image.convert("LA")),
            lambda image: image.convert("L").convert("RGB"),
        ),
        (lambda image: encoded(image.convert("1")), lambda image: image.convert("1").convert("RGB")),
    ],
    ids=["webp", "alpha", "palette", "grey", "16-bit", "grey alpha", "1-bit"],
)
def test_every_colour_mode_is_converted_to_rgb(
    client: httpx.Client,
    photograph: Image.Image,
    of_kind: Callable[[Image.Image], bytes],
    same_as: Callable[[Image.Image], Image.Image],
) -> None:
    answer = client.post("/v1/query", content=of_kind(photograph)).json()
    expected = client.post("/v1/query", content=encoded(same_as(photograph))).json()
    assert [match["id"] for match in answer["matches"]] == [match["id"] for match in expected["matches"]]
    assert answer["matches"][0]["similarity"] == pytest.approx(expected["matches"][0]["similarity"], abs=1e-4)


def test_a_cmyk_jpeg_finds_its_place(client: httpx.Client, photograph: Image.Image) -> None:
    response = client.post("/v1/query", content=encoded(photograph.convert("CMYK"), "JPEG", quality=95))
    assert ids(response)[0] == NUMBER


def test_a_large_jpeg_decoded_small_has_nearly_the_descriptor_of_the_full_size(
    client: httpx.Client, photograph: Image.Image
) -> None:
    large = photograph.resize((2000, 1600), Image.Resampling.NEAREST)
    answer = client.post("/v1/query", content=encoded(large, "JPEG", quality=95)).json()
    assert answer["matches"][0]["id"] == NUMBER
    assert answer["matches"][0]["similarity"] > 0.99


def test_many_concurrent_clients_get_their_own_answers(client: httpx.Client, photographs: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    def best(number: int) -> int:
        file = photographs / f"{number % 6}.png"
        return ids(client.post("/v1/query?k=1", content=file.read_bytes()))[0]

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(best, range(48))) == [number % 6 for number in range(48)]


def test_a_prior_restricts_the_search_and_an_empty_one_is_reported(
    client: httpx.Client, photograph: Image.Image
) -> None:
    content = encoded(photograph)
    # the photographs lie 10 m apart to the north; numbers 0 and 1 are within 15 m of the first
    near = client.post("/v1/query?prior=35,139,15", content=content)
    assert sorted(ids(near)) == [0, 1]
    assert near.json()["location"]["support"] == 2
    everywhere = client.post("/v1/query?prior=35,139,1e6&k=6", content=content).json()
    assert everywhere["matches"] == client.post("/v1/query?k=6", content=content).json()["matches"]
    refused(client.post("/v1/query?prior=-35,139,15", content=content), 422, "prior_holds_nothing")
    for wrong in ("35,139", "north,139,15", "91,139,15", "35,139,-1", "35,139,inf", "35,139,15,2"):
        refused(client.post(f"/v1/query?prior={wrong}", content=content), 422, "bad_prior")


def test_an_index_without_a_calibration_locates_nothing(uncalibrated_index: Path, photographs: Path) -> None:
    black = encoded(Image.new("RGB", (640, 480)), "JPEG")
    with hosted(uncalibrated_index) as address, httpx.Client(base_url=address) as client:
        for content in (black, (photographs / "3.png").read_bytes()):
            answer = client.post("/v1/query", content=content).json()
            assert (answer["verdict"], answer["probability"], answer["on_map"]) == ("uncalibrated", None, None)
            assert answer["index"]["calibrated"] is None
            assert answer["place"] == answer["best"]["place"] == answer["location"]["place"]
            assert 1 <= answer["support"] <= answer["considered"] == 6
            pose = client.post("/v1/query", content=content, headers={"Accept": "application/geopose+json"})
            assert "daco-bench calibrate" in refused(pose, 422, "not_located")


def lone_and_crowd(photographs: Path, folder: Path) -> Image.Image:
    """A folder of one picture that stands alone, five copies of another 111 km away; a query a little more like it."""
    folder.mkdir()
    lone, crowd = (Image.open(photographs / f"{number}.png").convert("RGB") for number in (3, 4))
    lone.save(folder / "alone.png")
    locations = {"alone.png": PhotoLocation(36.0, 139.0)}
    for number in range(5):
        crowd.save(folder / f"crowd {number}.png")
        locations[f"crowd {number}.png"] = PhotoLocation(35.0 + number / 111195, 139.0)
    write_locations(folder, locations)
    return Image.blend(crowd, lone, 0.58)


def test_the_answer_contains_its_best_match_even_if_k_is_smaller(
    photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "references"
    query = lone_and_crowd(photographs, folder)
    build_index(str(folder), str(encoder_folder), tmp_path / "map", BuildOptions(device="cpu", progress=False))
    with hosted(tmp_path / "map") as address, httpx.Client(base_url=address) as client:
        answer = client.post("/v1/query?k=1", content=encoded(query)).json()
    assert [match["place"] for match in answer["matches"]] == ["alone"]
    assert answer["best"]["place"] == answer["place"] and answer["place"].startswith("crowd")
    assert answer["best"]["rank"] == 2
    assert (answer["support"], answer["considered"]) == (5, 6)
    assert answer["location"]["latitude"] == pytest.approx(35, abs=1e-3)


def test_the_engine_imports_nothing_from_the_http_layer() -> None:
    engine = Path(daco_serve.engine.__file__).parent
    modules = [f"daco_serve.engine.{file.stem}" for file in engine.glob("*.py") if file.stem != "__init__"]
    probe = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert set(modules) <= loaded
    assert not {name for name in loaded if name.split(".")[0] in ("fastapi", "starlette", "uvicorn")}
    assert not {name for name in loaded if name.startswith("daco_serve.http")}


def test_querying_a_server_imports_neither_numpy_nor_the_server() -> None:
    probe = "import sys, daco_serve.cli.main; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "daco_serve" in loaded
    assert not loaded & {"numpy", "faiss", "openvino", "fastapi", "torch"}
