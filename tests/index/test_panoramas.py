"""A panorama is indexed as views of one place, each with its heading."""

from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.photographs.images import open_rgb
from daco_core.photographs.locations import PhotoLocation, write_locations
from daco_core.photographs.panoramas import read_panorama
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.generations.change import add_photographs, update_index
from daco_index.references.changes import SourceOptions
from daco_index.references.panoramas import PanoramaOptions
from daco_index.search.bundle import Bundle
from daco_index.search.catalog import Entry

from ..recording_files import sphere_metadata
from .conftest import Command

QUIET = BuildOptions(progress=False)


def _take(folder: Path, *names: str, heading: str | None = "90") -> None:
    """Panoramas of blocks of colours, all different."""
    folder.mkdir(exist_ok=True)
    for name in names:
        blocks = np.random.default_rng(list(name.encode())).integers(0, 255, (10, 20, 3), dtype=np.uint8)
        xmp = b"" if heading is None else sphere_metadata(PoseHeadingDegrees=heading)
        image = Image.fromarray(blocks).resize((240, 120), Image.Resampling.BICUBIC)
        image.save(folder / f"{name}.jpg", **({"xmp": xmp} if xmp else {}))


def _entries(index: Path) -> list[Entry]:
    return Bundle.open(index).catalog.all()


def test_views_have_the_place_and_position_of_their_panorama_and_their_own_headings(
    encoder_folder: Path, tmp_path: Path
) -> None:
    folder, index = tmp_path / "walk", tmp_path / "index"
    _take(folder, "one", "two")
    Image.effect_noise((80, 60), 90).convert("RGB").save(folder / "plain.jpg")
    here = {"one.jpg": PhotoLocation(50.0, 10.0), "plain.jpg": PhotoLocation(50.1, 10.0, 33.0)}
    write_locations(folder, here | {"two.jpg": PhotoLocation(50.2, 10.0, 180.0)})
    report = build_index(str(folder), str(encoder_folder), index, QUIET)
    assert report.manifest.count == 17 and not report.uncut
    of = {place: [entry for entry in _entries(index) if entry.place == place] for place in ("one", "two", "plain")}
    turns = [number * 45.0 for number in range(8)]
    assert [entry.heading for entry in of["one"]] == [(90 + turn) % 360 for turn in turns]
    assert [entry.heading for entry in of["two"]] == [(180 + turn) % 360 for turn in turns]  # the table's word counts
    assert {entry.latitude for entry in of["one"]} == {50.0}
    assert [(entry.path, entry.heading) for entry in of["plain"]] == [(str(folder / "plain.jpg"), 33.0)]
    views = [Path(entry.path) for entry in of["one"]]
    assert views[1].name == "one_045.0.jpg" and all(path.is_relative_to(index / "photographs") for path in views)


def test_a_query_that_shows_a_view_is_answered_with_its_panorama_and_heading(
    encoder_folder: Path, tmp_path: Path
) -> None:
    folder, index = tmp_path / "walk", tmp_path / "index"
    _take(folder, "one", "two", "three")
    build_index(str(folder), str(encoder_folder), index, QUIET)
    (view,) = [Path(entry.path) for entry in _entries(index) if entry.path.endswith("two_135.0.jpg")]
    bundle = Bundle.open(index)
    engine = query_engine(bundle, "cpu")
    query = engine.embed_prepared_with_local([engine.prepare(open_rgb(view))])
    ((match,),) = bundle.search(query.descriptors, 1, local=query.local)
    assert (match.entry.place, match.entry.heading) == ("two", 225.0)


def test_update_cuts_new_panoramas_and_drops_the_views_of_deleted_ones(encoder_folder: Path, tmp_path: Path) -> None:
    folder, index = tmp_path / "walk", tmp_path / "index"
    _take(folder, "one", "two")
    options = BuildOptions(progress=False, source=SourceOptions(panoramas=PanoramaOptions(views=4)))
    build_index(str(folder), str(encoder_folder), index, options)
    assert not update_index(index, QUIET).published
    _take(folder, "three", heading="10")
    (folder / "one.jpg").unlink()
    report = update_index(index, QUIET)
    assert (report.added, report.removed) == (4, 4)
    headings: dict[str, list[float | None]] = {entry.place: [] for entry in _entries(index)}
    for entry in _entries(index):
        headings[entry.place].append(entry.heading)
    assert headings == {"two": [90, 180, 270, 0], "three": [10, 100, 190, 280]}
    _take(tmp_path / "more", "four")
    add_photographs(index, str(tmp_path / "more"), options=QUIET)
    assert sum(entry.place == "four" for entry in _entries(index)) == 8


def test_a_picture_of_the_shape_of_a_panorama_is_cut_on_request_and_otherwise_gives_a_warning(
    encoder_folder: Path, tmp_path: Path, daco_index: Command
) -> None:
    folder = tmp_path / "walk"
    _take(folder, "one", "two", heading=None)
    common = (folder, "--encoder", encoder_folder, "--device", "cpu")
    done = daco_index("build", *common, "--out", tmp_path / "a")
    assert "Warning: 2 photographs are twice as wide as high" in done.stderr and "--panorama" in done.stderr
    assert len(_entries(tmp_path / "a")) == 2
    report = build_index(
        str(folder),
        str(encoder_folder),
        tmp_path / "b",
        BuildOptions(progress=False, source=SourceOptions(panoramas=PanoramaOptions("shaped"))),
    )
    assert report.manifest.count == 16 and not report.uncut
    assert {entry.heading for entry in _entries(tmp_path / "b")} == {None}  # nothing says where its middle points to


def test_a_broken_panorama_is_skipped_and_named(encoder_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "walk"
    _take(folder, "one", "two")
    content = (folder / "one.jpg").read_bytes()
    (folder / "one.jpg").write_bytes(content[: len(content) // 2])
    assert read_panorama(folder / "one.jpg") is not None
    report = build_index(str(folder), str(encoder_folder), tmp_path / "index", QUIET)
    assert list(report.unreadable) == [str(folder / "one.jpg")]
    assert report.manifest.count == 8


def test_no_panorama_indexes_panoramas_uncut(encoder_folder: Path, tmp_path: Path) -> None:
    _take(tmp_path / "walk", "one")
    options = BuildOptions(progress=False, source=SourceOptions(panoramas=PanoramaOptions("none")))
    report = build_index(str(tmp_path / "walk"), str(encoder_folder), tmp_path / "index", options)
    assert report.manifest.count == 1 and not (tmp_path / "index" / "photographs").exists()
