"""Videos as sources, like folders of photographs: built, added, updated, verified, shown."""

import json
import shutil
from pathlib import Path

import pytest

from daco_core.errors import UsageError
from daco_core.recordings.arguments import RecordingArguments
from daco_index.build import BuildOptions, build_index
from daco_index.generations.change import add_photographs, remove_photographs, update_index
from daco_index.generations.rollback import roll_back
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


def test_one_command_builds_an_index_from_a_video_and_its_track(
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


def test_later_commands_use_the_extracted_frames(ride: Path, encoder_folder: Path, tmp_path: Path) -> None:
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


def _made(index: Path) -> set[str]:
    """What each folder of frames or views is made of and how."""
    return {path.name.rpartition("-")[0] for path in (index / "photographs").iterdir()}


def _build_every(every: str, ride: Path, encoder_folder: Path, out: Path) -> None:
    options = BuildOptions(progress=False, source=_recording(None, every))
    build_index(str(ride), str(encoder_folder), out, options)


def test_frames_are_deleted_with_the_last_generation_that_uses_them(
    ride: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "index"
    for every in ("4s", "6s"):
        _build_every(every, ride, encoder_folder, out)
    (out / "photographs" / "stopped-5s-00000000").mkdir()  # of a build that was stopped, which resumes
    assert _made(out) == {"ride-4s", "ride-6s", "stopped-5s"}  # the generation before can be restored
    roll_back(out)  # generation 3 has the frames of the first, which is deleted
    assert _made(out) == {"ride-4s", "ride-6s", "stopped-5s"}
    _build_every("7s", ride, encoder_folder, out)
    assert _made(out) == {"ride-4s", "ride-7s", "stopped-5s"}
    frames = [entry.path for entry in Bundle.open(out).catalog.all()]
    remove_photographs(out, paths=frames[:1])
    assert _made(out) == {"ride-7s", "stopped-5s"} and all(Path(frame).is_file() for frame in frames)
    assert not any(one.problems for one in verify_index(out))


@pytest.mark.parametrize("stage", ["renamed", "photographs", "generation"])
def test_a_kill_while_old_frames_are_deleted_leaves_nothing_half_deleted(
    stage: str, ride: Path, encoder_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "index"
    for every in ("4s", "6s"):
        _build_every(every, ride, encoder_folder, out)
    remove_tree, rename = shutil.rmtree, Path.rename

    def kill_while_removing(path: Path, ignore_errors: bool = False) -> None:
        if (".ride-4s" if stage == "photographs" else ".1.removed") in Path(path).name and stage != "renamed":
            (Path(path) / "manifest.json").unlink(missing_ok=True)
            raise KeyboardInterrupt
        remove_tree(path, ignore_errors=ignore_errors)

    def kill_after_renaming(path: Path, target: Path) -> Path:
        moved = rename(path, target)
        if stage == "renamed" and Path(target).name == ".1.removed":
            raise KeyboardInterrupt
        return moved

    with monkeypatch.context() as killing:
        killing.setattr(shutil, "rmtree", kill_while_removing)
        killing.setattr(Path, "rename", kill_after_renaming)
        with pytest.raises(KeyboardInterrupt):
            _build_every("7s", ride, encoder_folder, out)
    assert not any(one.problems for one in verify_index(out)) and Bundle.open(out).manifest.generation == 3
    assert not update_index(out, BuildOptions(progress=False)).published  # and finishes the deletion
    assert _made(out) == {"ride-6s", "ride-7s"}
    assert not list((out / "generations").glob(".*.removed"))


def test_frames_stay_if_a_generation_that_may_use_them_cannot_be_read(
    ride: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    out = tmp_path / "index"
    for every in ("4s", "6s"):
        _build_every(every, ride, encoder_folder, out)
    (out / "generations" / "2" / "manifest.json").write_text("rubbish")
    _build_every("7s", ride, encoder_folder, out)
    assert _made(out) == {"ride-4s", "ride-6s", "ride-7s"}


def test_the_recording_of_a_robot_is_a_source_too(encoder_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("rosbags")
    out, quiet = tmp_path / "index", BuildOptions(progress=False)
    bag = write_bag(tmp_path / "hall", BagContents(odometry=["/odom"]))
    report = build_index(str(bag), str(encoder_folder), out, quiet)
    assert report.extraction is not None and report.extraction.kept == 20 and not report.other_files
    entries = Bundle.open(out).catalog.all()
    assert {entry.frame for entry in entries} == {"hall/odom"} and entries[3].x == pytest.approx(3.0, abs=0.01)
    assert not update_index(out, quiet).published


def test_invalid_recordings_and_folders_are_rejected_before_anything_is_written(
    ride: Path, built: tuple[Path, Path], encoder_folder: Path, tmp_path: Path
) -> None:
    options = BuildOptions(progress=False, source=_recording(None, "5s"))
    with pytest.raises(UsageError, match=r"is not a recording: omit --every"):
        build_index(str(built[0]), str(encoder_folder), tmp_path / "index", options)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("Dear")
    with pytest.raises(UsageError, match="contains other files than an index"):
        build_index(str(ride), str(encoder_folder), tmp_path / "mine", options)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter.txt"]
    assert not (tmp_path / "index").exists()
