"""`daco-data prepare` and `adopt`, as real commands on small archives with the official structure."""

import json
import shutil
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from daco_core.photographs.layout import DataSet
from daco_core.photographs.locations import PhotoLocation, read_locations

from .conftest import DacoData


def grey(path: Path, brightness: int, size: tuple[int, int] = (8, 6), taken: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_encoded(path.suffix, brightness, size, taken))


@cache
def _encoded(suffix: str, brightness: int, size: tuple[int, int], taken: str | None) -> bytes:
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    content = BytesIO()
    Image.new("L", size, brightness).save(content, Image.registered_extensions()[suffix], exif=exif)
    return content.getvalue()


def brightness(path: Path) -> int:
    with Image.open(path) as image:
        return int(image.convert("L").getpixel((0, 0)))  # type: ignore[arg-type]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.*g"))


# Tokyo 24/7

LIGHT = {"D": 200, "S": 120, "N": 20}


def tokyo_view(archive: Path, view: int, order: str = "DSN", letters: str | None = None, clock: bool = False) -> None:
    """The three photographs of a view, truly in this `order`, with these letters in their CSVs."""
    for step, truth in enumerate(order):
        stem = f"{3 * view - 2 + step:05}"
        hour = {"D": 13, "S": 17, "N": 20}[truth]
        grey(archive / f"{stem}.jpg", LIGHT[truth], taken=f"2014:09:01 {hour}:30:00" if clock else None)
        letter = (letters or order)[step]
        (archive / f"{stem}.csv").write_text(f"{stem}.jpg,{35.65 + view / 1e4},139.7,0,0,{letter}\n")


@pytest.fixture(scope="module")
def tokyo_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 1125 photographs; view 2 comes night first."""
    archive = tmp_path_factory.mktemp("download") / "247query_v3"
    for view in range(1, 376):
        tokyo_view(archive, view, "NSD" if view == 2 else "DSN")
    (archive / "Readme.txt").write_text("")
    return archive


@pytest.fixture
def few_views(tmp_path: Path) -> Path:
    archive = tmp_path / "247query_v3"
    for view in (1, 2, 300, 301):
        tokyo_view(archive, view)
    return archive


def test_tokyo_becomes_300_training_and_75_validation_pairs_with_positions(
    tmp_path: Path, tokyo_archive: Path, daco_data: DacoData
) -> None:
    done = daco_data("prepare", "tokyo", tokyo_archive.parent, "--data-root", tmp_path)
    assert done.returncode == 0, done.stderr
    dataset = DataSet(tmp_path, "tokyo")
    for domain, time in (("day", "day"), ("night", "night")):
        folder = dataset.find_domain(domain)
        training, validation = (dataset.images(folder, split) for split in ("train", "val"))
        assert [path.name for path in training] == [f"{time}_{view:05}.jpg" for view in range(1, 301)]
        assert [path.name for path in validation] == [f"{time}_{view:05}.jpg" for view in range(301, 376)]
        assert {brightness(path) > 150 for path in training + validation} == {time == "day"}
        assert read_locations(validation[0].parent)[validation[0].name] == PhotoLocation(35.6801, 139.7, None, "00301")
    assert "1 views are not in the order day, sunset, night" in done.stderr
    assert daco_data("check", "tokyo", "--data-root", tmp_path).stdout.count("unpaired") == 0


def test_an_incomplete_tokyo_is_rejected_and_nothing_is_written(
    tmp_path: Path, few_views: Path, daco_data: DacoData
) -> None:
    done = daco_data("prepare", "tokyo", few_views, "--data-root", tmp_path / "data")
    assert done.returncode == 1
    assert "1113 of 1125 photographs are missing: 00007.jpg" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("Error: ") and "Traceback" not in done.stderr
    assert not (tmp_path / "data").exists()


def test_part_of_tokyo_keeps_its_numbers_and_its_split(tmp_path: Path, few_views: Path, daco_data: DacoData) -> None:
    (few_views / "00002.jpg").unlink()  # a sunset that nobody needs
    (few_views / "00006.jpg").unlink()  # the night of view 2
    done = daco_data("prepare", "tokyo", few_views, "--data-root", tmp_path / "data", "--partial")
    assert done.returncode == 0, done.stderr
    original = tmp_path / "data" / "tokyo" / "original"
    assert names(original / "domain_b" / "train") == ["night_00001.jpg", "night_00300.jpg"]
    assert names(original / "domain_b" / "val") == ["night_00301.jpg"]
    assert "00004 to 00005: left out" in done.stderr


@pytest.mark.parametrize(("clock", "evidence"), [(True, "capture time"), (False, "brightness alone")])
def test_without_csv_files_tokyo_is_ordered_by_time_or_brightness_with_a_note(
    tmp_path: Path, few_views: Path, clock: bool, evidence: str, daco_data: DacoData
) -> None:
    tokyo_view(few_views, 1, "SND", letters="???", clock=clock)
    done = daco_data("prepare", "tokyo", few_views, "--data-root", tmp_path / "data", "--partial")
    assert done.returncode == 0, done.stderr
    train = tmp_path / "data" / "tokyo" / "original"
    assert brightness(train / "domain_a" / "train" / "day_00001.jpg") > 150
    assert brightness(train / "domain_b" / "train" / "night_00001.jpg") < 60
    assert f"00001 to 00003: the CSVs contain nothing, nothing, nothing; ordered by {evidence}" in done.stderr
    assert "2 doubts" in done.stdout


def test_a_night_that_is_brighter_than_its_day_gives_a_warning(
    tmp_path: Path, few_views: Path, daco_data: DacoData
) -> None:
    tokyo_view(few_views, 1, "NSD", letters="DSN", clock=True)
    done = daco_data("prepare", "tokyo", few_views, "--data-root", tmp_path / "data", "--partial")
    assert "00003.jpg is taken to be night, but is brighter than 00001.jpg" in done.stderr
    assert "00003.jpg is taken to be night, but is nearer to noon than 00001.jpg" in done.stderr


def test_numbers_that_are_not_three_times_of_day_in_a_row_are_rejected(tmp_path: Path, daco_data: DacoData) -> None:
    archive = tmp_path / "247query_v3"
    for view in range(1, 40):
        tokyo_view(archive, view, {0: "DDD", 1: "SSS", 2: "NNN"}[view % 3])
    done = daco_data("prepare", "tokyo", archive, "--data-root", tmp_path / "data", "--partial")
    assert done.returncode == 1 and "mark one time of day twice" in done.stderr


# Cityscapes


def cityscapes_frame(archive: Path, split: str, frame: str, beta: str = "0.02", foggy: bool = True) -> None:
    city = frame.partition("_")[0]
    grey(archive / "leftImg8bit" / split / city / f"{frame}_leftImg8bit.png", 100, (16, 8))
    if foggy:
        name = f"{frame}_leftImg8bit_foggy_beta_{beta}.png"
        grey(archive / "leftImg8bit_foggyDBF" / split / city / name, 200, (16, 8))


@pytest.mark.slow  # 7,000 files; the quick tests have a Tokyo that is complete and a Cityscapes that is not
def test_cityscapes_is_2975_and_500_pairs_under_one_name(tmp_path: Path, daco_data: DacoData) -> None:
    archive = tmp_path / "cs"
    for number in range(2975):
        cityscapes_frame(archive, "train", f"{('aachen', 'ulm')[number % 2]}_{number:06}_000019")
    for number in range(500):
        cityscapes_frame(archive, "val", f"munster_{number:06}_000019")
    done = daco_data("prepare", "cityscapes", archive, "--data-root", tmp_path / "data", "--link")
    assert done.returncode == 0, done.stderr
    dataset = DataSet(tmp_path / "data", "cityscapes")
    clear, foggy = (dataset.find_domain(name) for name in ("clear", "foggy"))
    for split, count in (("train", 2975), ("val", 500)):
        sides = [[path.name for path in dataset.images(domain, split)] for domain in (clear, foggy)]
        assert len(sides[0]) == count and sides[0] == sides[1]
    assert dataset.images(foggy, "val")[0].name == "munster_000000_000019.png"
    assert brightness(dataset.images(foggy, "val")[0]) == 200


def test_cityscapes_lists_frames_without_fog_and_reads_positions_of_the_car(
    tmp_path: Path, daco_data: DacoData
) -> None:
    archive = tmp_path / "cs"
    cityscapes_frame(archive, "train", "ulm_000001_000019", "0.01")
    cityscapes_frame(archive, "train", "ulm_000002_000019", "0.02")
    cityscapes_frame(archive, "val", "munster_000001_000019", "0.01")
    vehicle = archive / "vehicle" / "train" / "ulm" / "ulm_000001_000019_vehicle.json"
    vehicle.parent.mkdir(parents=True)
    vehicle.write_text(json.dumps({"gpsHeading": 368, "gpsLatitude": 48.4, "gpsLongitude": 9.99, "speed": 3.0}))
    words = ("prepare", "cityscapes", archive, "--data-root", tmp_path / "data", "--beta", "0.01")
    refused = daco_data(*words)
    assert refused.returncode == 1
    assert "train: 1 frames have no foggy photograph: ulm_000002_000019." in refused.stderr
    assert "train: 1 pairs exist, but the official download has 2975" in refused.stderr
    assert "val: 1 pairs exist, but the official download has 500" in refused.stderr
    assert daco_data(*words, "--partial").returncode == 0
    for domain in ("domain_a", "domain_b"):
        folder = tmp_path / "data" / "cityscapes" / "original" / domain / "train"
        assert read_locations(folder) == {"ulm_000001_000019.png": PhotoLocation(48.4, 9.99, 8.0)}


def test_cityscapes_without_its_foggy_half_is_rejected(tmp_path: Path, daco_data: DacoData) -> None:
    cityscapes_frame(tmp_path / "cs", "train", "ulm_000001_000019", foggy=False)
    done = daco_data("prepare", "cityscapes", tmp_path / "cs", "--data-root", tmp_path / "data")
    assert done.returncode == 1 and "no folder leftImg8bit_foggyDBF" in done.stderr


# SYNTHIA


@pytest.fixture
def synthia_archive(tmp_path: Path) -> Path:
    """Sequences 02 and 05 in both weathers, 40 frames; 05 rains for 38; sequence 04 only at sunset."""
    archive = tmp_path / "synthia"
    frames = {"02-SUNSET": 40, "02-RAINNIGHT": 40, "05-SUNSET": 40, "05-RAINNIGHT": 38, "04-SUNSET": 3}
    for sequence, count in frames.items():
        for camera in "FBLR":
            for frame in range(count):
                folder = archive / f"SYNTHIA-SEQS-{sequence}" / "RGB" / "Stereo_Left" / f"Omni_{camera}"
                grey(folder / f"{frame:06}.png", 150 if "SUNSET" in sequence else 30)
    return archive


def test_synthia_holds_out_60_pairs_of_one_sequence_and_trains_on_the_others(
    tmp_path: Path, synthia_archive: Path, daco_data: DacoData
) -> None:
    done = daco_data("prepare", "synthia", synthia_archive, "--data-root", tmp_path / "data")
    assert done.returncode == 0, done.stderr
    dataset = DataSet(tmp_path / "data", "synthia")
    for split, count, sequence in (("train", 38 * 4, "05"), ("val", 60, "02")):
        sunset, rain = (dataset.images(dataset.find_domain(name), split) for name in ("sunset", "rainnight"))
        assert [path.name for path in sunset] == [path.name for path in rain]
        assert len(sunset) == count and {path.name[:2] for path in sunset} == {sequence}
        assert {brightness(path) for path in sunset} == {150} and {brightness(path) for path in rain} == {30}
    assert {path.stem.split("_")[1] for path in dataset.images("domain_a", "val")} == set("FBLR")
    assert "Sequence 05: 8 frames have one weather only" in done.stderr


def test_synthia_rejects_a_missing_holdout_and_a_missing_camera(
    tmp_path: Path, synthia_archive: Path, daco_data: DacoData
) -> None:
    words = ("prepare", "synthia", synthia_archive, "--data-root", tmp_path / "data")
    done = daco_data(*words, "--holdout", "04")
    assert done.returncode == 1 and "the sequences in both weathers are 02, 05" in done.stderr
    shutil.rmtree(synthia_archive / "SYNTHIA-SEQS-02-RAINNIGHT" / "RGB" / "Stereo_Left" / "Omni_B")
    done = daco_data(*words)
    assert done.returncode == 1
    assert "SYNTHIA-SEQS-02-RAINNIGHT has no Omni_B" in done.stderr
    assert "Sequence 02 gives 45 validation pairs, not 60" in done.stderr


# what all of them share


def test_a_second_run_resumes_where_the_first_stopped(tmp_path: Path, few_views: Path, daco_data: DacoData) -> None:
    words = ("prepare", "tokyo", few_views, "--data-root", tmp_path / "data", "--partial")
    assert daco_data(*words).returncode == 0
    train = tmp_path / "data" / "tokyo" / "original" / "domain_a" / "train"
    kept, lost = train / "day_00001.jpg", train / "day_00002.jpg"
    before = kept.stat().st_mtime_ns
    content = lost.read_bytes()
    lost.unlink()
    leftover = train / ".day_00002.jpg.new" / "day_00002.jpg"  # as a kill leaves it
    leftover.parent.mkdir()
    leftover.write_bytes(content[:10])
    done = daco_data(*words)
    assert "1 photographs placed, 7 already existed" in done.stdout
    assert lost.read_bytes() == content and kept.stat().st_mtime_ns == before
    assert not list(train.glob(".*"))


def test_link_shares_the_disk_and_size_scales_the_shorter_side(
    tmp_path: Path, few_views: Path, daco_data: DacoData
) -> None:
    source = few_views / "00001.jpg"
    grey(source, 200, (60, 40))
    words = ("prepare", "tokyo", few_views, "--data-root", tmp_path / "data", "--partial")
    assert daco_data(*words, "--link", "--name", "linked").returncode == 0
    assert daco_data(*words, "--size", "20", "--name", "small").returncode == 0
    made = "original/domain_a/train/day_00001.jpg"
    assert source.samefile(tmp_path / "data" / "linked" / made)
    with Image.open(tmp_path / "data" / "small" / made) as image:
        assert image.size == (30, 20)
    assert DataSet(tmp_path / "data", "small").find_domain("night") == "domain_b"
    assert read_locations((tmp_path / "data" / "small" / made).parent)
    both = daco_data(*words, "--link", "--size", "20", "--name", "both")
    assert both.returncode == 1 and "choose one of them" in both.stderr


def test_two_preparations_never_mix_in_one_folder(tmp_path: Path, few_views: Path, daco_data: DacoData) -> None:
    words = ("prepare", "tokyo", few_views, "--data-root", tmp_path / "data", "--partial")
    assert daco_data(*words).returncode == 0
    done = daco_data(*words, "--size", "16")
    assert done.returncode == 1 and "size was as it is, now 16" in done.stderr
    grey(tmp_path / "data" / "tokyo" / "original" / "domain_a" / "train" / "mine.jpg", 9)
    done = daco_data(*words)
    assert done.returncode == 1 and "mine.jpg" in done.stderr


@pytest.mark.parametrize("archive", ["tokyo", "cityscapes", "synthia"])
def test_a_folder_without_the_download_is_rejected_in_one_sentence(
    tmp_path: Path, archive: str, daco_data: DacoData
) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        done = daco_data("prepare", archive, folder, "--data-root", tmp_path / "data")
        assert done.returncode == 1
        assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1, done.stderr


# anybody's folders


def test_two_own_folders_become_a_data_set_with_a_reproducible_split(tmp_path: Path, daco_data: DacoData) -> None:
    for folder in ("noon", "midnight"):
        for number in range(10):
            grey(tmp_path / folder / "street" / f"{number}.jpg", 50)
    (tmp_path / "noon" / "gps.csv").write_text("file,latitude,longitude\nstreet/9.jpg,1,2\n")
    done = daco_data(
        "adopt", "mine", tmp_path / "noon", tmp_path / "midnight", "--domains", "noon,midnight", "--data-root", tmp_path
    )
    assert done.returncode == 0, done.stderr
    dataset = DataSet(tmp_path, "mine")
    assert dataset.find_domain("midnight") == "domain_b"
    for domain in dataset.domains:
        assert [path.name for path in dataset.images(domain, "val")] == ["street_8.jpg", "street_9.jpg"]
        assert len(dataset.images(domain, "train")) == 8
    assert read_locations(dataset.split_folder("domain_a", "val")) == {"street_9.jpg": PhotoLocation(1.0, 2.0)}


def test_other_folders_with_the_same_name_are_rejected(tmp_path: Path, daco_data: DacoData) -> None:
    for folder, light in (("day", 200), ("night", 20)):
        for number in range(3):
            grey(tmp_path / folder / f"{number}.png", light)
    mistaken = daco_data("adopt", "mine", tmp_path / "night", tmp_path / "day", "--data-root", tmp_path)
    assert mistaken.returncode == 0, mistaken.stderr
    again = daco_data("adopt", "mine", tmp_path / "day", tmp_path / "night", "--data-root", tmp_path)
    assert again.returncode == 1
    assert f"domain_a was {tmp_path / 'night'}, now {tmp_path / 'day'}" in " ".join(again.stderr.split())
    assert brightness(DataSet(tmp_path, "mine").images("domain_a", "train")[0]) == 20


def test_names_that_differ_only_by_a_word_for_the_domain_are_pairs(tmp_path: Path, daco_data: DacoData) -> None:
    for time in ("day", "night"):
        for number in range(3):
            grey(tmp_path / time / f"{time}_{number}.jpg", 50)
    done = daco_data("adopt", "mine", tmp_path / "day", tmp_path / "night", "--data-root", tmp_path)
    assert done.returncode == 0 and "not pairs" not in done.stderr


def test_own_folders_may_be_unpaired_and_may_have_their_own_splits(tmp_path: Path, daco_data: DacoData) -> None:
    for path in ("day/train/a.jpg", "day/train/b.jpg", "day/val/c.jpg", "night/x.jpg", "night/y.png"):
        grey(tmp_path / path, 50)
    done = daco_data("adopt", "mine", tmp_path / "day", tmp_path / "night", "--val", "0.5", "--data-root", tmp_path)
    assert done.returncode == 0, done.stderr
    dataset = DataSet(tmp_path, "mine")
    assert [len(dataset.images("domain_a", split)) for split in ("train", "val")] == [2, 1]
    assert [len(dataset.images("domain_b", split)) for split in ("train", "val")] == [1, 1]
    assert "day and night are not pairs" in done.stderr


def test_a_single_folder_can_be_adopted_and_empty_or_clashing_ones_are_rejected(
    tmp_path: Path, daco_data: DacoData
) -> None:
    grey(tmp_path / "day" / "a_b.jpg", 50)
    assert daco_data("adopt", "mine", tmp_path / "day", "--val", "0", "--data-root", tmp_path).returncode == 0
    assert DataSet(tmp_path, "mine").domains == ["domain_a"]
    grey(tmp_path / "day" / "a" / "b.jpg", 60)
    done = daco_data("adopt", "other", tmp_path / "day", "--data-root", tmp_path)
    assert done.returncode == 1 and "would both be named a_b.jpg" in done.stderr
    (tmp_path / "empty").mkdir()
    done = daco_data("adopt", "other", tmp_path / "empty", "--data-root", tmp_path)
    assert done.returncode == 1 and "contains no photographs" in done.stderr
    done = daco_data("adopt", "other", tmp_path / "day", tmp_path / "day", "--data-root", tmp_path)
    assert done.returncode == 1 and "A folder is given twice" in done.stderr
