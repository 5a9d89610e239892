"""A video is a source as a folder of photographs is one: built, added, updated, verified, shown."""

import json
from pathlib import Path

import pytest

from daco_core.errors import UsageError
from daco_core.recordings.arguments import RecordingArguments
from daco_index.build import BuildOptions, build_index
from daco_index.generations.change import add_photographs, update_index
from daco_index.generations.verify import verify_index
from daco_index.references.changes import SourceOptions
from daco_index.search.bundle import Bundle

from ..recording_files import BagContents, street, write_bag, write_gpx, write_video
from .conftest import Command

pytest.importorskip("av")


@pytest.fixture(scope="module")
def ride(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ride")
    write_gpx(folder / "ride.gpx", 20)
    return write_video(folder / "ride.mp4", street(80))


def _recording(track: Path | None, every: str) -> SourceOptions:
    return SourceOptions(recording=RecordingArguments(track, every, None, "0", 0.0).parse())


def test_one_command_makes_an_index_of_a_video_and_its_track(
    ride: Path, encoder_folder: Path, tmp_path: Path, daco_index: Command
) -> None:
    out = tmp_path / "index"
    track = ride.with_suffix(".gpx")
    done = daco_index(
        "build", ride, "--track", track, "--every", "5m", "--encoder", encoder_folder, "--out", out, "--json"
    )
    assert done.returncode == 0, done.stderr
    assert "8 of 80 frames extracted to" in done.stderr
    report = json.loads(done.stdout)
    assert report["extraction"]["kept"] == 8 and report["manifest"]["with_location"] == 8
    assert report["manifest"]["source"] == str(ride)
    entries = Bundle.open(out).catalog.all()
    assert all(Path(entry.path).is_file() and Path(entry.path).is_relative_to(out.resolve()) for entry in entries)
    assert [entry.heading for entry in entries] == pytest.approx([90.0] * 8, abs=0.1)
    assert not any(one.problems for one in verify_index(out))
    options = BuildOptions(progress=False, source=_recording(track, "5m"))
    again = build_index(str(ride), str(encoder_folder), out, options)
    assert again.extraction is not None and again.extraction.before and again.embedded == 0


def test_later_commands_go_on_from_the_frames(ride: Path, encoder_folder: Path, tmp_path: Path) -> None:
    out, quiet = tmp_path / "index", BuildOptions(progress=False)
    track = ride.with_suffix(".gpx")
    options = BuildOptions(progress=False, source=_recording(track, "10m"))
    assert build_index(str(ride), str(encoder_folder), out, options).manifest.count == 4
    other = write_video(tmp_path / "back.mp4", street(80)[::-1])
    added = add_photographs(out, str(other), options=quiet, source_options=_recording(None, "4s"))
    assert added.manifest.count == 6 and added.manifest.with_location == 4
    assert not update_index(out, quiet).published
    entries = Bundle.open(out).catalog.all()
    Path(entries[1].path).unlink()  # such as one that shows a face
    assert update_index(out, quiet).removed == 1


def test_the_recording_of_a_robot_is_a_source_too(encoder_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("rosbags")
    out, quiet = tmp_path / "index", BuildOptions(progress=False)
    bag = write_bag(tmp_path / "hall", BagContents(odometry=["/odom"]))
    report = build_index(str(bag), str(encoder_folder), out, quiet)
    assert report.extraction is not None and report.extraction.kept == 20 and not report.other_files
    entries = Bundle.open(out).catalog.all()
    assert {entry.frame for entry in entries} == {"hall/odom"} and entries[3].x == pytest.approx(3.0, abs=0.01)
    assert not update_index(out, quiet).published


def test_what_is_no_recording_or_no_folder_of_an_index_is_refused_before_anything_is_written(
    ride: Path, built: tuple[Path, Path], encoder_folder: Path, tmp_path: Path
) -> None:
    options = BuildOptions(progress=False, source=_recording(None, "5s"))
    with pytest.raises(UsageError, match=r"is not a recording: leave --every"):
        build_index(str(built[0]), str(encoder_folder), tmp_path / "index", options)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear")
    with pytest.raises(UsageError, match="holds other things than an index"):
        build_index(str(ride), str(encoder_folder), tmp_path / "mine", options)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    assert not (tmp_path / "index").exists()
