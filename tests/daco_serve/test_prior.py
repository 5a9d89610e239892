"""On a new map without a calibration, the shipped prior recognises photographs from elsewhere."""

import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from daco_bench.cli.main import app
from daco_core.encoder.stored import SHIPPED
from daco_index.build import BuildOptions, build_index
from daco_serve.api.index import Index
from daco_serve.engine.calibration import EVIDENCE, PRIOR_FILE, VOTE_EVIDENCE, find_prior, read_calibration

from .conftest import hosted

SIZE = (640, 480)


@pytest.fixture(scope="module")
def street(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of 29 photographs of one street."""
    index = tmp_path_factory.mktemp("lund") / "index"
    build_index(
        str(shared / "photos" / "lund"), "default", index, BuildOptions(progress=False, device="cpu", precision="fp32")
    )
    return index


@pytest.fixture(scope="module")
def address(street: Path) -> Iterator[str]:
    """Of a server with the street, just indexed."""
    with hosted(street) as address:
        yield address


def answer(address: str, image: Image.Image, parameters: str = "") -> dict:
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=90)
    response = httpx.post(f"{address}/v1/query{parameters}", content=buffer.getvalue(), timeout=60)
    assert response.status_code == 200, response.text
    found: dict = response.json()
    return found


def text() -> Image.Image:
    page = Image.new("RGB", SIZE, "white")
    for line in range(12):
        ImageDraw.Draw(page).text((40, 30 + 36 * line), "The quick brown fox jumps over the lazy dog. " * 2, "black")
    return page


def noise() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SIZE[::-1], 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "picture",
    [Image.new("RGB", SIZE), Image.new("RGB", SIZE, "white"), noise(), text()],
    ids=["black", "white", "noise", "text"],
)
def test_a_picture_that_shows_no_street_is_not_on_the_map(address: str, picture: Image.Image) -> None:
    found = answer(address, picture)
    assert found["index"]["calibrated"] == "prior"
    assert (found["verdict"], found["location"]) == ("not_on_map", None)


def test_streets_of_another_continent_are_not_on_the_map(address: str, shared: Path) -> None:
    pictures = sorted((shared / "photos" / "street" / "database").glob("*.jpg"))
    verdicts = [answer(address, Image.open(picture).convert("RGB"))["verdict"] for picture in pictures]
    assert len(pictures) >= 15 and verdicts.count("not_on_map") >= 0.9 * len(pictures)


def test_a_cropped_copy_of_a_reference_is_located_with_a_wide_radius(address: str, shared: Path) -> None:
    image = Image.open(shared / "photos" / "lund" / "05.jpg").convert("RGB")
    width, height = image.size
    aside = image.crop((width // 12, height // 16, width, height)).point(lambda value: 0.7 * value)
    found = answer(address, aside)
    assert found["verdict"] == "located" and found["probability"] > 0.5
    assert found["location"]["uncertainty_metres"] >= 15 and found["location"]["calibrated"]
    unranked = answer(address, aside, "?rerank=0")  # for which the prior has no evidence
    assert unranked["verdict"] == "uncalibrated" and unranked["index"]["calibrated"] is None


@pytest.mark.slow
def test_an_index_calibrated_by_copies_of_its_photographs_says_so_in_its_answers(
    street: Path, shared: Path, tmp_path: Path
) -> None:
    index = Path(shutil.copytree(street, tmp_path / "index"))
    done = CliRunner().invoke(app, ["calibrate", str(index), "--self", "--device", "cpu"])
    assert done.exit_code == 0, done.output
    opened = Index.open(index, device="cpu")
    assert opened.calibration is not None and opened.calibration.kind == "self"
    assert opened.calibration.calibration.by == "copies" and opened.calibration.calibration.count == 58  # two of each
    darker = Image.open(shared / "photos" / "lund" / "12.jpg").convert("RGB").point(lambda value: 0.6 * value)
    assert opened.localize(darker).verdict == "located"
    assert [opened.localize(picture).verdict for picture in (noise(), text())] == ["not_on_map", "not_on_map"]


def test_the_prior_applies_only_to_the_encoder_that_ships() -> None:
    prior = read_calibration(PRIOR_FILE)
    assert PRIOR_FILE.parent == SHIPPED and len(prior.mean) == len(EVIDENCE) + len(VOTE_EVIDENCE)
    assert find_prior(prior.encoder) == prior and prior.map_similarity is not None
    assert find_prior("0" * 64) is None
