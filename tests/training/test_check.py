"""`daco-data check` and `show`: every fault is found and named, and a good set passes."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daco_core.photographs.contact_sheet import contact_sheet
from daco_core.photographs.layout import DataSet
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_training.datasets.check import CheckReport, check

from .conftest import DacoData


def draw(path: Path, seed: int, size: tuple[int, int] = (24, 16)) -> None:
    """A picture that only its seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def good(tmp_path: Path) -> DataSet:
    """Pairs named as Tokyo's are, with positions and twins; no fault."""
    for seed, (domain, time) in enumerate((("domain_a", "day"), ("domain_b", "night"))):
        for split, numbers in (("train", range(4)), ("val", range(4, 6))):
            folder = tmp_path / "mine" / "original" / domain / split
            for number in numbers:
                draw(folder / f"{time}_{number:05}.png", 100 * seed + number)
                if split == "train":
                    twin = tmp_path / "mine" / "generated" / domain / split / f"{time}_{number:05}.jpg"
                    draw(twin, 100 * seed + 50 + number)
            write_locations(folder, {path.name: PhotoLocation(1.0, 2.0) for path in folder.glob("*.png")})
    return DataSet(tmp_path, "mine")


def problems(report: CheckReport) -> list[tuple[str, str]]:
    return [(problem.kind, problem.file) for problem in report.problems]


def test_a_valid_data_set_passes_and_is_counted(good: DataSet, daco_data: DacoData) -> None:
    report = check(good)
    assert problems(report) == [] and report.notes == []
    assert report.photographs == {"domain_a/train": 4, "domain_a/val": 2, "domain_b/train": 4, "domain_b/val": 2}
    assert report.sizes == {"24x16": 12}
    done = daco_data("check", "mine", "--data-root", good.data_root)
    assert done.returncode == 0 and "no problems" in done.stdout


def test_every_fault_is_found_and_named(good: DataSet, daco_data: DacoData) -> None:
    train, val = (good.split_folder("domain_a", split) for split in ("train", "val"))
    (good.split_folder("domain_b", "train") / "night_00001.png").unlink()
    content = (train / "day_00002.png").read_bytes()
    (train / "day_00002.png").write_bytes(content[: len(content) // 2])
    shutil.copy(train / "day_00000.png", val / "day_00004.png")
    Image.open(train / "day_00003.png").save(train / "day_00007.png", compress_level=1)
    (train / "phone.dng").write_bytes(b"...")
    (train / "more").mkdir()
    twins = good.split_folder("domain_a", "train", "generated")
    (twins / "day_00003.jpg").write_bytes(b"")
    (twins / "day_00000.jpg").rename(twins / "day_00009.jpg")

    assert sorted(problems(check(good))) == sorted(
        [
            ("unpaired", "original/domain_a/train/day_00001.png"),
            ("unpaired", "original/domain_a/train/day_00007.png"),
            ("unreadable", "original/domain_a/train/day_00002.png"),
            ("unreadable", "generated/domain_a/train/day_00003.jpg"),
            ("duplicate", "original/domain_a/val/day_00004.png"),
            ("duplicate", "original/domain_a/train/day_00007.png"),
            ("ignored", "original/domain_a/train/phone.dng"),
            ("ignored", "original/domain_a/train/more"),
            ("no location", "original/domain_a/train/day_00007.png"),
            ("stray location", "original/domain_b/train/locations.csv"),
            ("no twin", "original/domain_a/train/day_00000.png"),
            ("no twin", "original/domain_a/train/day_00007.png"),
            ("stray twin", "generated/domain_a/train/day_00009.jpg"),
            ("stray twin", "generated/domain_b/train/night_00001.jpg"),
        ]
    )
    done = daco_data("check", "mine", "--data-root", good.data_root, "--json")
    assert done.returncode == 1
    printed = json.loads(done.stdout)
    assert len(printed["problems"]) == 14 and set(printed["problems"][0]) == {"kind", "file", "detail"}
    done = daco_data("check", "mine", "--data-root", good.data_root)
    assert done.returncode == 1 and "14 problems" in done.stdout


def test_two_photographs_of_one_name_are_a_fault(good: DataSet) -> None:
    draw(good.split_folder("domain_a", "val") / "day_00004.jpg", 99)
    write_locations(
        good.split_folder("domain_a", "val"),
        {path.name: PhotoLocation(1.0, 2.0) for path in good.images("domain_a", "val")},
    )
    assert problems(check(good)) == [("same name", "original/domain_a/val/day_00004.png")]


def test_unpaired_domains_without_positions_or_twins_give_notes_but_no_faults(tmp_path: Path) -> None:
    for number in range(3):
        draw(tmp_path / "mine" / "original" / "domain_a" / "train" / f"a{number}.png", number)
    draw(tmp_path / "mine" / "original" / "domain_b" / "train" / "x.png", 7)
    report = check(DataSet(tmp_path, "mine"))
    assert problems(report) == []
    assert len(report.notes) == 3
    assert "not pairs (3 and 1 photographs)" in " ".join(report.notes)


def test_a_set_without_photographs_fails(tmp_path: Path) -> None:
    (tmp_path / "mine" / "original" / "domain_a" / "train").mkdir(parents=True)
    assert problems(check(DataSet(tmp_path, "mine"))) == [("empty", "original")]


def test_show_draws_a_row_for_each_place_and_a_column_for_each_domain_and_its_twins(
    good: DataSet, daco_data: DacoData
) -> None:
    sheet = good.data_root / "pictures" / "sheet.png"
    done = daco_data("show", "mine", "--data-root", good.data_root, "--out", sheet, "--count", "3")
    assert done.returncode == 0, done.stderr
    with Image.open(sheet) as image:
        width, height = image.size
    assert 4 * 192 < width < 5 * 192 and 3 * 192 < height < 4 * 192


@pytest.mark.parametrize("words", [("--split", "test"), ("--out", "sheet.xyz")])
def test_show_rejects_what_it_cannot_draw_in_one_sentence(
    good: DataSet, words: tuple[str, str], daco_data: DacoData
) -> None:
    done = daco_data("show", "mine", "--data-root", good.data_root, *words)
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1


def test_a_contact_sheet_keeps_the_shape_of_each_picture() -> None:
    sheet = contact_sheet([[Image.new("RGB", (40, 10), "red"), Image.new("L", (10, 40))]], ["wide", "tall"], cell=100)
    pixels = np.asarray(sheet)
    red = (pixels == (255, 0, 0)).all(axis=2)
    assert red.any(axis=0).sum() == 100 and red.any(axis=1).sum() == 25
    assert contact_sheet([], [], cell=50).size[1] > 0
