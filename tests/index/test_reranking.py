"""Re-ranking: two-bit quantisation of cells, and votes of matched cells."""

import numpy as np
import pytest

from daco_core.errors import DacoError, DamagedIndex, UsageError
from daco_index.reranking.local_file import HELD_BYTES, LocalFile, LocalForm, write_local_file
from daco_index.reranking.quantisation import pack, rotate, rotation, unpack
from daco_index.reranking.rerank import LocalQuery
from daco_index.reranking.voting import (
    AT_ONCE,
    BLUR_COLUMNS,
    BLUR_ROWS,
    SCALES,
    TOLERANCE,
    Grid,
    _blur,
    matched_cells,
    vote,
)

GRID = Grid(16, 16)


def unit(array: np.ndarray) -> np.ndarray:
    return (array / np.linalg.norm(array, axis=-1, keepdims=True)).astype(np.float32)


def scene(seed: int, rows: int = 16, columns: int = 16) -> np.ndarray:
    """Cells (rows, columns, 64) that have nothing in common."""
    return unit(np.random.default_rng(seed).normal(size=(rows, columns, 64)))


def flat(cells: np.ndarray) -> np.ndarray:
    return cells.reshape(-1, 64)


def test_the_rotation_is_orthonormal_and_the_same_on_every_machine():
    assert np.allclose(rotation(64) @ rotation(64).T, np.eye(64), atol=1e-6)
    assert (np.abs(rotation(64)) == 0.125).all()
    assert np.flatnonzero(rotation(64)[:, 0] < 0)[:5].tolist() == [1, 2, 3, 4, 8]
    with pytest.raises(DacoError, match="numbers, not 60"):
        rotation(60)


def test_a_cell_in_two_bits_per_number_stays_similar_and_takes_16_bytes():
    cells = unit(np.random.default_rng(0).normal(size=(500, 64)) * np.linspace(3, 0.2, 64))
    packed = pack(cells)
    assert packed.shape == (500, 16)
    decoded = unpack(packed)
    assert np.allclose(np.linalg.norm(decoded, axis=-1), 1, atol=1e-5)
    likeness = (decoded * rotate(cells)).sum(axis=-1)
    assert likeness.min() > 0.85 and likeness.mean() > 0.92
    assert ((decoded @ rotate(cells).T).argmax(axis=0) == np.arange(500)).all()


def test_codes_stand_for_four_levels_with_the_first_number_in_the_lowest_bits():
    decoded = unpack(np.array([[0b11_10_01_00] * 16], dtype=np.uint8))
    expected = np.tile([-1.5, -0.5, 0.5, 1.5], 16)
    assert np.allclose(decoded[0], expected / np.linalg.norm(expected))


def test_a_shifted_picture_gets_many_votes_and_another_place_few():
    query = scene(1)
    moved = scene(2)
    moved[:, 4:] = query[:, :-4]  # four cells to the right
    votes = vote(flat(query), np.stack([flat(query), flat(moved), flat(scene(3))]), GRID)
    assert votes.votes[0] == pytest.approx(256, rel=0.02)
    assert votes.votes[1] == pytest.approx(192, rel=0.05)
    assert votes.votes[2] < 25
    assert votes.shares[0] > votes.shares[1] > votes.shares[2]


@pytest.mark.parametrize("scale", [SCALES[0], SCALES[-1]])
def test_a_picture_from_another_distance_gets_its_votes_at_that_scale(scale):
    reference = scene(1)
    centres = GRID.centres() * scale + 7.5
    rows, columns = np.rint(centres).astype(int).T
    inside = (rows >= 0) & (rows < 16) & (columns >= 0) & (columns < 16)
    query = flat(scene(2)).copy()
    query[inside] = reference[rows[inside], columns[inside]]
    found = vote(query, np.stack([flat(reference), flat(scene(3))]), GRID).votes
    assert found[0] > 0.3 * inside.sum() and found[0] > 3 * found[1]


def test_votes_of_many_references_equal_those_of_each_alone():
    query, references = flat(scene(0)), np.stack([flat(scene(seed % 5)) for seed in range(9)])
    together = vote(query, references, GRID).votes
    alone = [vote(query, reference[None], GRID).votes[0] for reference in references]
    assert np.allclose(together, alone, rtol=1e-4)
    assert len(vote(query, references[:0], GRID).votes) == 0


def plain_vote(query, reference, grid, positions, asking):
    """The vote and its share for one reference, as the formula has it: every match at every shift."""
    similarities = query[asking] @ reference.T
    nearest = similarities.argmax(axis=1)
    best = similarities.max(axis=1)
    weights = np.exp((best - similarities.max(axis=0)[nearest]) / TOLERANCE)
    centres = grid.centres()
    there, here = centres[positions[nearest]], centres[asking]
    rows, columns = np.arange(-grid.rows - 1, grid.rows + 2), np.arange(-grid.columns - 1, grid.columns + 2)
    most = 0.0
    for scale in SCALES:
        shifts = np.rint(there - np.float32(scale) * here)
        shifts = np.clip(shifts, (rows[0], columns[0]), (rows[-1], columns[-1]))
        down = rows[:, None] - shifts[:, 0]
        across = np.exp(-(((columns[:, None] - shifts[:, 1]) / BLUR_COLUMNS) ** 2) / 2)
        height = np.where(np.abs(down) < 3 * BLUR_ROWS, np.exp(-((down / BLUR_ROWS) ** 2) / 2), 0)
        most = max(most, (height[:, None, :] * across[None, :, :] * weights).sum(axis=2).max())
    return most * grid.cells / len(asking), most / weights.sum()


@pytest.mark.parametrize("grid", [GRID, Grid(6, 10), Grid(2, 2)])
@pytest.mark.parametrize("share", [1, 2])
@pytest.mark.parametrize("count", [1, AT_ONCE, 2 * AT_ONCE + 1])
def test_votes_equal_those_of_the_formula(grid, share, count):
    random = np.random.default_rng(count)
    query = unit(random.normal(size=(grid.cells, 64)))
    noise = random.uniform(0.1, 2, size=(count, 1, 1)) * random.normal(size=(count, grid.cells, 64))
    moved = np.roll(query.reshape(grid.rows, grid.columns, 64), (1, -1), axis=(0, 1)).reshape(-1, 64)
    kept = np.sort(np.argsort(random.random((count, grid.cells)), axis=1)[:, : grid.cells // share], axis=1)
    references = np.take_along_axis(unit(moved + noise), kept[..., None], axis=1)
    for asking in (np.arange(grid.cells), grid.every_second()):
        expected = [plain_vote(query, *one, asking) for one in zip(references, [grid] * count, kept, strict=True)]
        positions = None if share == 1 else kept.astype(np.uint16)
        found = vote(query, references, grid, positions, asking)
        assert np.allclose(np.stack([found.votes, found.shares], axis=1), expected, rtol=1e-5)


def test_the_blur_contains_no_subnormal_numbers():
    blur = _blur(35, BLUR_COLUMNS, 35)
    assert blur[blur > 0].min() > np.finfo(np.float32).tiny
    assert blur[0, 12] == pytest.approx(np.exp(-18))


def test_matched_cells_show_where_the_query_lies_in_the_reference():
    query, moved = scene(1), scene(2)
    moved[:, 4:] = query[:, :-4]
    cells = matched_cells(flat(query), flat(moved), GRID)
    exact = [cell for cell in cells if cell.strength > 0.9]
    assert len(exact) >= 150
    assert all(cell.reference_x - cell.query_x == pytest.approx(0.25) for cell in exact)
    assert all(cell.reference_y == cell.query_y for cell in exact)
    assert [cell.strength for cell in cells] == sorted((cell.strength for cell in cells), reverse=True)


def test_a_grid_that_is_not_square_can_vote():
    grid, query = Grid(6, 10), flat(scene(1, 6, 10))
    votes = vote(query, np.stack([query, flat(scene(2, 6, 10))]), grid).votes
    assert votes[0] == pytest.approx(60, rel=0.02) and votes[1] < 15


@pytest.mark.parametrize("small", [False, True])
@pytest.mark.parametrize("held_bytes", [0, HELD_BYTES])
def test_local_descriptors_survive_writing_and_reading(tmp_path, small, held_bytes, monkeypatch):
    monkeypatch.setattr("daco_index.reranking.local_file.HELD_BYTES", held_bytes)
    form = LocalForm.of(GRID, 64, small)
    cells = np.stack([flat(scene(seed)) for seed in range(5)])
    cells[:, 128:] = unit(np.ones(64) + 0.01 * cells[:, 128:])  # half of each picture is a plain wall
    rows, ids = form.encode(cells), np.array([2, 3, 7, 11, 12])
    assert rows.shape[1] == form.row_bytes == (2176 if small else 4096)
    write_local_file(tmp_path / "local.bin", form, ids, [rows[:2], rows[2:]])
    file = LocalFile(tmp_path / "local.bin")
    assert file.form == form and file.ids().tolist() == ids.tolist()
    assert (file.rows(np.array([11, 2])) == rows[[3, 0]]).all()
    decoded, positions = form.decode(file.rows(np.array([7])))
    if small:
        assert positions is not None and positions[0].tolist() == list(range(128))
    assert (decoded[0, :128] * rotate(cells[2, :128])).sum(axis=-1).min() > 0.85
    votes = vote(rotate(cells[2]), *_candidates(form, file, ids)).votes
    assert votes.argmax() == 2 and votes[2] > 100
    with pytest.raises(KeyError):
        file.rows(np.array([4]))


def test_the_small_form_supports_at_most_256_cells():
    with pytest.raises(UsageError, match=r"--small-local supports at most 256 cells.*20 x 20"):
        LocalForm.of(Grid(20, 20), 64, small=True)
    assert LocalForm.of(Grid(20, 20), 64).keeps_all


def _candidates(form, file, ids):
    decoded, positions = form.decode(file.rows(ids))
    return decoded, form.grid, positions


@pytest.mark.parametrize("small", [False, True])
def test_votes_of_references_in_a_file_equal_those_of_their_decoded_cells(tmp_path, small):
    form, ids = LocalForm.of(GRID, 64, small), np.arange(2 * AT_ONCE + 1) * 3
    cells = np.stack([flat(scene(seed)) for seed in range(len(ids))])
    write_local_file(tmp_path / "local.bin", form, ids, [form.encode(cells)])
    file, query = LocalFile(tmp_path / "local.bin"), LocalQuery.of(cells[7])
    decoded, positions = form.decode(file.rows(ids[::-1]))
    expected, found = query.compare(decoded, GRID, positions), query.votes(file, ids[::-1])
    assert found.votes.argmax() == AT_ONCE - 2
    assert np.allclose(found.votes, expected.votes, rtol=1e-6) and np.allclose(found.shares, expected.shares, rtol=1e-6)
    assert len(query.votes(file, ids[:0]).votes) == 0


@pytest.mark.parametrize("damage", [lambda text: text[:-1], lambda text: b"x" + text[1:], lambda text: text[:20]])
def test_a_truncated_file_of_local_descriptors_is_an_error_with_its_name(tmp_path, damage):
    form, file = LocalForm.of(GRID, 64), tmp_path / "local.bin"
    write_local_file(file, form, np.arange(3), [np.zeros((3, form.row_bytes), np.uint8)])
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(DamagedIndex, match=r"local\.bin"):
        LocalFile(file)


def test_every_second_cell_votes_and_votes_are_scaled_to_all_cells():
    assert Grid(4, 4).every_second().tolist() == [5, 7, 8, 10]
    assert Grid(2, 2).every_second().tolist() == [0, 3]
    query, elsewhere = scene(1), scene(3)
    asked = LocalQuery.of(flat(query)).compare(rotate(np.stack([flat(query), flat(elsewhere)])), GRID)
    assert asked.votes[0] == pytest.approx(256, rel=0.02)
    assert asked.votes[1] < 50
    assert asked.shares[0] == pytest.approx(1, rel=0.05)
    other = query.copy()
    other.reshape(-1, 64)[GRID.every_second()] = elsewhere.reshape(-1, 64)[GRID.every_second()]
    votes = LocalQuery.of(flat(other)).compare(rotate(np.stack([flat(query), flat(elsewhere)])), GRID).votes
    assert votes[0] < 50 < votes[1], "the cells between them do not vote"
