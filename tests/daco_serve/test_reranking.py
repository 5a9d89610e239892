"""A server re-ranks the first candidates by their local descriptors, and returns the cells that agree."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

from daco_core.errors import DamagedIndex
from daco_index.build import BuildOptions, build_index
from daco_index.reranking.local_file import LocalFile, LocalForm, write_local_file
from daco_index.reranking.rerank import VOTE_WEIGHT
from daco_index.reranking.voting import Grid
from daco_serve.client import Client, Refused

from ..local_parts import draw_streets, save_grid_encoder
from .conftest import hosted
from .hostile import parameters


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_streets(tmp_path_factory.mktemp("streets"))


@pytest.fixture(scope="module")
def address(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with an index that has local descriptors."""
    root = tmp_path_factory.mktemp("local")
    build_index(str(streets), str(save_grid_encoder(root / "encoder")), root / "index", BuildOptions(progress=False))
    with hosted(root / "index", rerank=4, max_rerank=6) as address:
        yield address


def test_candidates_are_re_ranked_and_the_answer_contains_votes_and_scores(address: str, streets: Path) -> None:
    with Client(address) as client:
        answer = client.query(streets / "005.png", 8)
        plain = client.query(streets / "005.png", 8, rerank=0)
    assert answer.index.reranks
    assert [match.votes is None for match in answer.matches] == [False] * 4 + [True] * 4
    best = answer.matches[0]
    assert best.place == "005" and best.votes == pytest.approx(64, rel=0.05)
    assert best.score == pytest.approx(best.similarity + VOTE_WEIGHT * best.votes, abs=1e-3)
    assert answer.best is not None and answer.best.id == best.id
    assert answer.timings.rerank_ms > 0
    assert [match.votes for match in plain.matches] == [None] * 8
    assert [match.score for match in plain.matches] == [match.similarity for match in plain.matches]
    assert all(match.cells is None for match in answer.matches)


def test_matched_cells_show_how_the_query_is_shifted(address: str, streets: Path) -> None:
    picture = Image.open(streets / "002.png")
    moved = Image.new("RGB", picture.size)
    moved.paste(picture, (32, 0))  # two cells to the right
    moved.save(streets.parent / "moved.png")
    with Client(address) as client:
        answer = client.query(streets.parent / "moved.png", 6, rerank=6, cells=True)
    best = answer.matches[0]
    assert best.place == "002" and best.cells
    strongest = best.cells[:10]
    assert [cell.strength for cell in best.cells] == sorted((cell.strength for cell in best.cells), reverse=True)
    shifts = [round(8 * (cell.reference_x - cell.query_x)) for cell in strongest]
    assert shifts.count(-2) >= 7
    assert sum(round(8 * (cell.reference_y - cell.query_y)) == 0 for cell in strongest) >= 7


def test_a_batch_is_re_ranked_as_each_photograph_alone(address: str, streets: Path) -> None:
    pictures = sorted(streets.iterdir())[:3]
    with Client(address) as client:
        together = [answer for answer in client.query_many(pictures, 3) if not isinstance(answer, Refused)]
        alone = [client.query(picture, 3) for picture in pictures]
    assert [[match.id for match in answer.matches] for answer in together] == [
        [match.id for match in answer.matches] for answer in alone
    ]
    assert all(match.votes is not None for answer in together for match in answer.matches)


def test_more_candidates_than_the_server_allows_are_rejected(address: str, streets: Path) -> None:
    content = (streets / "001.png").read_bytes()
    refused = httpx.post(f"{address}/v1/query?rerank=7", content=content)
    assert refused.status_code == 422
    assert refused.json()["error"] == {"code": "bad_rerank", "message": "rerank must be a whole number from 0 to 6."}


def test_an_index_without_local_descriptors_answers_without_re_ranking(server: str, photographs: Path) -> None:
    with Client(server) as client:
        answer = client.query(photographs / "3.png", 2, rerank=20, cells=True)
    assert not answer.index.reranks
    assert [(match.votes, match.cells) for match in answer.matches] == [(None, None)] * 2


def test_no_value_of_a_parameter_causes_a_5xx(address: str, streets: Path) -> None:
    content = (streets / "001.png").read_bytes()
    answered = 0
    with httpx.Client(base_url=address, timeout=60) as client:
        for query in parameters():
            response = client.post(f"/v1/query?{query}", content=content)
            assert response.status_code in (200, 404, 422), (query[:60], response.text)
            if response.status_code == 200:
                answered += 1
                assert response.json()["matches"][0]["place"] == "001", query[:60]
            else:
                assert set(response.json()["error"]) == {"code", "message"}
    assert answered > 30


def test_local_descriptors_damaged_anywhere_are_rejected_or_read_without_taking_much_memory(tmp_path: Path) -> None:
    """As if somebody had made the file: of a damaged one, the manifest's hash says so before it is opened."""
    random = np.random.default_rng(0)
    file = tmp_path / "local.bin"
    for small in (False, True):
        form = LocalForm.of(Grid(8, 8), 64, small)
        cells = random.normal(size=(10, 64, 64)).astype(np.float32)
        cells /= np.linalg.norm(cells, axis=2, keepdims=True)
        write_local_file(file, form, np.arange(0, 20, 2), [form.encode(cells)])
        intact = file.read_bytes()
        refused = 0
        for number in range(1200):
            damaged = bytearray(intact)
            at = int(random.integers(0, 36 if number % 2 else len(intact) - 8))
            match number % 4:
                case 0:
                    damaged[at] ^= 1 << int(random.integers(8))
                case 1:
                    damaged[at : at + 4] = int(random.choice([0, 1, 2**31 - 1, 2**32 - 1])).to_bytes(4, "little")
                case 2:
                    del damaged[at:]
                case 3:
                    damaged[at : at + 8] = int(random.choice([0, 2**62])).to_bytes(8, "little")
            file.unlink()
            file.write_bytes(damaged)
            try:
                opened = LocalFile(file)
            except DamagedIndex:
                refused += 1
                continue
            assert len(opened.ids()) == 10 and opened.form.grid.cells <= 4096
            assert opened.file.rows(
                file.stat().st_size - 10 * opened.form.row_bytes, opened.form.row_bytes, np.arange(10)
            ).any()
        assert refused > 600
