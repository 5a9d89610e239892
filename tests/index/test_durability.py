"""An index is intact or rejected: killed writers, damaged files, two writers, a full disk, Ctrl-C."""

import errno
import fcntl
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from daco_core import files
from daco_core.errors import DacoError
from daco_index.build import BuildOptions, build_index, publish
from daco_index.generations.change import remove_photographs
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.folders import Writer, read_current
from daco_index.generations.manifest import sha256_of
from daco_index.generations.specification import GenerationSpec, Provenance, Target
from daco_index.generations.verify import verify_index
from daco_index.search.bundle import Bundle, read_manifest
from daco_index.search.index_choice import SearchOptions

from ..local_parts import save_grid_encoder


@pytest.fixture(scope="session")
def grid_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder with local descriptors, so that there is every file that an index may have."""
    return save_grid_encoder(tmp_path_factory.mktemp("encoder") / "grid")


FILES = [
    "CURRENT",
    "generations/1/manifest.json",
    "generations/1/vectors.faiss",
    "generations/1/catalog.sqlite",
    "generations/1/encoder/encoder.json",
    "generations/1/encoder/model.safetensors",
]


def leftovers(index: Path) -> list[str]:
    """What a writer may not leave behind; the notes of what it embedded may stay for the next one."""
    hidden = [path.name for path in index.rglob(".*") if path.name not in (".lock", ".embedded")]
    live = read_current(index).generation
    numbers = [path.name for path in (index / "generations").iterdir() if path.name.isdecimal()]
    return hidden + [number for number in numbers if int(number) > live]


def break_off(*arguments: object) -> dict[str, dict[str, int]]:
    """What `faults.py` counts."""
    # one thread: a fork of a process with threads of OpenMP would hang
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, Path(__file__).with_name("faults.py"), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr
    report: dict[str, dict[str, int]] = json.loads(done.stdout)
    return report


def total(report: dict[str, dict[str, int]], what: str) -> int:
    return sum(counts.get(what, 0) for counts in report.values())


def test_a_killed_writer_leaves_the_old_or_the_new_index(grid_encoder, tmp_path):
    report = break_off("kill", tmp_path, grid_encoder, "--every", 10, "--only", "build", "add", "remove")
    assert total(report, "killed at a step") >= 9


@pytest.mark.slow
def test_a_writer_killed_at_any_step_of_any_change_leaves_the_old_or_the_new_index(grid_encoder, tmp_path):
    report = break_off("kill", tmp_path, grid_encoder)
    assert len(report) == 7
    assert total(report, "killed at a step") >= 200
    assert total(report, "killed at a moment") >= 20


@pytest.mark.slow
def test_a_writer_to_milvus_killed_at_any_step_leaves_the_old_or_the_new_index(encoder_folder, milvus, tmp_path):
    report = break_off("kill", tmp_path, encoder_folder, "--store", milvus.address("faults"))
    assert len(report) == 7
    assert total(report, "killed at a step") >= 250


def test_each_of_several_concurrent_writers_succeeds_completely_or_is_rejected(encoder_folder, tmp_path):
    report = break_off("race", tmp_path, encoder_folder, "--every", 3)
    assert total(report, "writers that came through") >= 2
    assert total(report, "writers turned away") >= 1


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of 8 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", disk], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here, which takes root: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_full_disk_keeps_the_old_index_and_is_reported_in_one_sentence(grid_encoder, small_disk):
    report = break_off("fill", small_disk, grid_encoder, "--every", 5, "--only", "add", "remove")
    assert total(report, "refused") >= 2
    assert total(report, "came through") >= 2


@pytest.mark.slow
def test_too_little_disk_space_of_any_amount_keeps_the_old_index(encoder_folder, small_disk):
    report = break_off("fill", small_disk, encoder_folder)
    assert len(report) == 7
    assert total(report, "refused") >= 30


@pytest.fixture
def compressed_index(built, encoder_folder, tmp_path) -> Path:
    """An index of two generations, whose vectors are searched through candidates, so that it has every kind of file."""
    index = tmp_path / "compressed"
    build_index(
        str(built[0]), str(encoder_folder), index, BuildOptions(progress=False, search=SearchOptions(factory="SQ8"))
    )
    remove_photographs(index, ids=[3])
    return index


@pytest.mark.parametrize("positions", [5, pytest.param(50, marks=pytest.mark.slow)])
def test_a_flipped_bit_or_a_truncation_anywhere_is_detected_with_the_files_name(compressed_index, positions):
    live = f"generations/{read_current(compressed_index).generation}/"
    files = [path for path in compressed_index.rglob("*") if path.is_file() and path.name != ".lock"]
    assert {"CURRENT", "vectors.faiss", "vectors.candidates.faiss", "catalog.sqlite", "manifest.json.sha256"} <= {
        path.name for path in files
    }
    random = np.random.default_rng(0)
    for file in files:
        content = file.read_bytes()
        places = random.integers(0, len(content), positions)
        flipped = [content[:at] + bytes([content[at] ^ 1 << at % 8]) + content[at + 1 :] for at in map(int, places)]
        for damaged in [*flipped, *(content[: int(at)] for at in places)]:
            file.write_bytes(damaged)
            name = file.relative_to(compressed_index).as_posix()
            shared = compressed_index / live / "encoder" / file.name  # which the generations have in common
            in_live = name.startswith(live) or (shared.exists() and shared.samefile(file))
            if name == "CURRENT" or (in_live and not name.endswith(".sha256")):
                with pytest.raises(DacoError, match=file.name):
                    Bundle.open(compressed_index)
            else:  # of the generation that is kept, or for the time when it will be
                assert Bundle.open(compressed_index).store.count == 11
                problems = [problem for one in verify_index(compressed_index) for problem in one.problems]
                assert any(file.name in problem for problem in problems), (name, problems)
        file.write_bytes(content)
    assert not [problem for one in verify_index(compressed_index) for problem in one.problems]


@pytest.mark.parametrize("place", ["first byte", "middle", "last byte"])
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_detected_with_the_files_name(own_index, name, place):
    file = own_index / name
    content = bytearray(file.read_bytes())
    content[{"first byte": 0, "middle": len(content) // 2, "last byte": -1}[place]] ^= 1
    file.write_bytes(content)
    with pytest.raises(DacoError, match=Path(name).name):
        Bundle.open(own_index)


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_rejected_with_its_name(own_index, name, keep):
    file = own_index / name
    file.write_bytes(file.read_bytes()[: (file.stat().st_size - 1) * keep])
    with pytest.raises(DacoError, match=Path(name).name):
        Bundle.open(own_index)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_rejected_with_its_name(own_index, name):
    (own_index / name).unlink()
    with pytest.raises(DacoError, match=Path(name).name):
        Bundle.open(own_index)


def test_a_newer_format_is_rejected_with_advice(own_index, monkeypatch):
    monkeypatch.setattr("daco_index.generations.manifest.FORMAT_VERSION", 0)
    with pytest.raises(DacoError, match="reads formats up to 0: update"):
        Bundle.open(own_index)


def test_an_index_with_another_encoder_than_that_of_its_descriptors_is_rejected(own_index):
    # put together by hand: every file whole, the chain of hashes honest, and yet another encoder
    file = own_index / "generations" / "1" / "manifest.json"
    file.write_text(file.read_text().replace(read_manifest(own_index).encoder_fingerprint, "0" * 64))
    (own_index / "CURRENT").write_text(f"1 {sha256_of(file)}\n")
    with pytest.raises(DacoError, match="is not the encoder of this index"):
        Bundle.open(own_index)


def test_readers_always_get_a_complete_generation_while_a_writer_publishes_many(built, encoder_folder, own_index):
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(
            lambda: [
                build_index(str(built[0]), str(encoder_folder), own_index, BuildOptions(progress=False))
                for _ in range(12)
            ]
        )
        seen = []
        while not writing.done():
            bundle = Bundle.open(own_index)
            assert bundle.catalog.count == bundle.store.count == 12
            seen.append(bundle.generation)
        assert len(writing.result()) == 12
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def test_a_second_writer_is_rejected_and_the_first_succeeds(built, encoder_folder, own_index):
    with Writer(own_index), pytest.raises(DacoError, match="being written by another process"):
        build_index(str(built[0]), str(encoder_folder), own_index, BuildOptions(progress=False))
    assert (
        build_index(str(built[0]), str(encoder_folder), own_index, BuildOptions(progress=False)).manifest.generation
        == 2
    )


def test_a_writer_in_another_process_is_detected(built, encoder_folder, own_index, daco_index):
    with Writer(own_index):
        done = daco_index("build", built[0], "--encoder", encoder_folder, "--out", own_index)
    assert done.returncode == 1
    assert "being written by another process" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_last_two_generations_are_kept(built, encoder_folder, own_index):
    for _ in range(3):
        build_index(str(built[0]), str(encoder_folder), own_index, BuildOptions(progress=False))
    assert sorted(path.name for path in (own_index / "generations").iterdir()) == ["3", "4"]
    assert Bundle.open(own_index).generation == 4


def test_a_build_repairs_an_index_whose_file_current_is_damaged(built, encoder_folder, own_index):
    (own_index / "CURRENT").write_text("")
    build_index(str(built[0]), str(encoder_folder), own_index, BuildOptions(progress=False))
    assert Bundle.open(own_index).generation == 2


def test_an_error_at_the_last_rename_keeps_the_previous_generation_and_leaves_no_files(
    built, encoder_folder, own_index, monkeypatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DacoError, match=r"No space left on device.*generation 1 is intact"):
        build_index(str(built[0]), str(encoder_folder), own_index, BuildOptions(progress=False))
    assert Bundle.open(own_index).generation == 1
    assert not leftovers(own_index)


@pytest.fixture
def sync_that_fails(monkeypatch):
    """Lets the disk fail when a folder is synced for the n-th time from now on whose name is given."""

    def fail(name: str, nth: int = 1, then: bool = False) -> None:
        real, left = files.sync, nth

        def sync(path: Path) -> None:
            nonlocal left
            left -= path.name == name
            if path.name == name and (left == 0 or (then and left < 0)):
                raise OSError(errno.EIO, "Input/output error")
            real(path)

        monkeypatch.setattr(files, "sync", sync)

    return fail


def test_a_disk_that_fails_after_the_last_rename_is_reported(own_index, sync_that_fails):
    sync_that_fails(own_index.name)
    with pytest.raises(DacoError, match=r"Generation 2 of .* is published and in use.*Input/output error"):
        remove_photographs(own_index, ids=[1])
    bundle = Bundle.open(own_index)
    assert (bundle.generation, bundle.catalog.count) == (2, 11)
    assert not leftovers(own_index)


def test_a_generation_that_may_be_published_is_kept_if_current_cannot_be_read(own_index, sync_that_fails, monkeypatch):
    sync_that_fails(own_index.name)
    real = Path.read_bytes

    def unreadable(self: Path) -> bytes:
        if self.name == "CURRENT" and (own_index / "generations" / "2").exists():
            raise OSError(errno.EIO, "Input/output error")
        return real(self)

    with Writer(own_index) as writer, monkeypatch.context() as patch:
        live = Bundle.open(own_index)
        staying = live.catalog.all()[1:]
        descriptors = Descriptors(live.store.dimension)
        descriptors.hold([entry.id for entry in staying], live.store)
        spec = GenerationSpec(Provenance("a", "remove 1", ()), live.encoder, staying, descriptors, 12)
        with pytest.raises(DacoError, match="generation 2 or 1 is in use cannot be read"):
            target = Target(writer, live)
            patch.setattr(Path, "read_bytes", unreadable)
            publish(spec, target)
    assert Bundle.open(own_index).generation == 2


def test_a_writer_whose_lock_was_removed_publishes_nothing_and_does_not_disturb_the_other_writer(own_index):
    lost = pytest.raises(DacoError, match=r"\.lock was removed.*generation 2 is intact")
    with Writer(own_index) as first, lost, first.new_generation() as (_, folder):
        shutil.copytree(own_index / "generations" / "1", folder, dirs_exist_ok=True)
        (own_index / ".lock").unlink()
        remove_photographs(own_index, ids=[1])  # another process, which gets the new lock
        assert folder.is_dir(), "the other one took it for what a crash left"
    bundle = Bundle.open(own_index)
    assert (bundle.generation, bundle.catalog.count) == (2, 11)
    assert not list((own_index / "generations").glob(".*.partial"))


def test_a_failed_writer_removes_only_its_own_generation(own_index, monkeypatch):
    failing = pytest.raises(DacoError, match="cannot be written")
    with Writer(own_index) as first, failing, first.new_generation() as (number, folder):
        shutil.copytree(own_index / "generations" / "1", folder, dirs_exist_ok=True)
        (own_index / ".lock").unlink()
        remove_photographs(own_index, ids=[1])
        assert read_current(own_index).generation == number
        monkeypatch.setattr(Writer, "_check_lock", lambda self: None)  # it was removed a moment after the look
    bundle = Bundle.open(own_index)
    assert (bundle.generation, bundle.catalog.count) == (2, 11)


def test_a_generation_that_is_about_to_be_published_is_not_deleted(own_index):
    folder = own_index / "generations" / "2"
    shutil.copytree(own_index / "generations" / "1", folder)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)  # as a writer holds it between its two renames
        with Writer(own_index):
            assert folder.is_dir()
    finally:
        os.close(descriptor)
    with Writer(own_index):
        assert not folder.exists()


@pytest.mark.parametrize("what", ["a dangling link", "a folder"])
@pytest.mark.parametrize("kept", [False, True])
def test_verify_reports_a_manifest_hash_that_is_no_file(own_index, what, kept):
    if kept:
        remove_photographs(own_index, ids=[1])
    note = own_index / "generations" / "1" / "manifest.json.sha256"
    note.unlink()
    note.symlink_to("nowhere") if what == "a dangling link" else note.mkdir()
    (first, *_) = verify_index(own_index)
    assert any("manifest.json.sha256 cannot be read" in problem for problem in first.problems)


@pytest.mark.parametrize("limit", [1_000, 20_000, 100_000, 1_000_000])
def test_a_full_disk_during_a_build_is_reported_in_one_sentence_and_keeps_the_index(
    built, grid_encoder, own_index, command, limit
):
    # a limit on the size of files stands in for the full disk: the same failing writes, in each library in turn; with
    # another encoder than before, as the files of the same one would be shared with the previous generation
    done = subprocess.run(
        [*command, "build", built[0], "--encoder", grid_encoder, "--out", own_index],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert Bundle.open(own_index).generation == 1
    assert not leftovers(own_index)


def test_ctrl_c_during_a_build_is_reported_in_one_sentence_and_keeps_the_index(
    built, encoder_folder, own_index, photographs, command, tmp_path
):
    photographs(tmp_path / "many", 600, (320, 240))
    process = subprocess.Popen(
        [*command, "build", tmp_path / "many", "--encoder", encoder_folder, "--out", own_index, "--batch-size", "1"],
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    while not re.search(rb"\b[1-9]\d*/600", said):
        more = process.stderr.read1()
        assert more, said
        said += more
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert f"Stopped; {own_index} is intact, at generation 1." in said.decode()
    assert b"Traceback" not in said
    assert read_manifest(own_index).count == 12
    assert Bundle.open(own_index).generation == 1
    assert not leftovers(own_index)
