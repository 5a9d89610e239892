"""An index is whole or refused: killed writers, damaged files, two writers, a full disk, Ctrl-C."""

import json
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from index.build import build_index
from index.bundle import Bundle, read_manifest
from index.generations import Writer, read_current
from index.manifest import sha256_of
from training.errors import DacoError

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


def test_a_writer_killed_at_any_step_leaves_a_whole_index(encoder_folder, tmp_path):
    # one thread each: a fork of a process with threads of OpenMP would hang
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    script = Path(__file__).with_name("kill_points.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path / "index", encoder_folder],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["killed"] >= 25
    assert len(report["left"]) == 2
    assert all(name.isdecimal() for name in report["left"])


@pytest.mark.parametrize("place", ["first byte", "middle", "last byte"])
@pytest.mark.parametrize("name", FILES)
def test_one_flipped_bit_is_refused_with_the_name_of_the_file(own_index, name, place):
    file = own_index / name
    content = bytearray(file.read_bytes())
    content[{"first byte": 0, "middle": len(content) // 2, "last byte": -1}[place]] ^= 1
    file.write_bytes(content)
    with pytest.raises(DacoError, match=Path(name).name):
        Bundle.open(own_index)


@pytest.mark.parametrize("keep", [0, 1])
@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_refused_with_its_name(own_index, name, keep):
    file = own_index / name
    file.write_bytes(file.read_bytes()[: (file.stat().st_size - 1) * keep])
    with pytest.raises(DacoError, match=Path(name).name):
        Bundle.open(own_index)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_refused_with_its_name(own_index, name):
    (own_index / name).unlink()
    with pytest.raises(DacoError, match=Path(name).name):
        Bundle.open(own_index)


def test_a_newer_format_is_refused_with_what_to_do(own_index, monkeypatch):
    monkeypatch.setattr("index.manifest.FORMAT_VERSION", 0)
    with pytest.raises(DacoError, match="reads up to 0: update it"):
        Bundle.open(own_index)


def test_an_encoder_that_did_not_make_the_descriptors_is_refused(own_index):
    # put together by hand: every file whole, the chain of hashes honest, and yet another encoder
    file = own_index / "generations" / "1" / "manifest.json"
    file.write_text(file.read_text().replace(read_manifest(own_index).encoder_fingerprint, "0" * 64))
    (own_index / "CURRENT").write_text(f"1 {sha256_of(file)}\n")
    with pytest.raises(DacoError, match="is not the encoder that made this index"):
        Bundle.open(own_index)


def test_readers_always_get_a_whole_generation_while_a_writer_publishes_many(built, encoder_folder, own_index):
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(
            lambda: [build_index(str(built[0]), str(encoder_folder), own_index, progress=False) for _ in range(12)]
        )
        seen = []
        while not writing.done():
            bundle = Bundle.open(own_index)
            assert bundle.catalog.count == bundle.store.count == 12
            seen.append(bundle.generation)
        assert len(writing.result()) == 12
    assert seen == sorted(seen)
    assert len(set(seen)) > 3


def test_a_second_writer_is_turned_away_and_the_first_comes_through(built, encoder_folder, own_index):
    with Writer(own_index), pytest.raises(DacoError, match="being written by another process"):
        build_index(str(built[0]), str(encoder_folder), own_index, progress=False)
    assert build_index(str(built[0]), str(encoder_folder), own_index, progress=False).manifest.generation == 2


def test_a_writer_in_another_process_is_seen(built, encoder_folder, own_index, daco_index):
    with Writer(own_index):
        done = daco_index("build", built[0], "--encoder", encoder_folder, "--out", own_index)
    assert done.returncode == 1
    assert "being written by another process" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_last_two_generations_are_kept(built, encoder_folder, own_index):
    for _ in range(3):
        build_index(str(built[0]), str(encoder_folder), own_index, progress=False)
    assert sorted(path.name for path in (own_index / "generations").iterdir()) == ["3", "4"]
    assert Bundle.open(own_index).generation == 4


def test_a_build_mends_an_index_whose_current_is_damaged(built, encoder_folder, own_index):
    (own_index / "CURRENT").write_text("")
    build_index(str(built[0]), str(encoder_folder), own_index, progress=False)
    assert Bundle.open(own_index).generation == 2


def test_an_error_at_the_last_rename_leaves_the_previous_generation_and_no_litter(
    built, encoder_folder, own_index, monkeypatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(DacoError, match=r"No space left on device.*generation 1 is whole"):
        build_index(str(built[0]), str(encoder_folder), own_index, progress=False)
    assert Bundle.open(own_index).generation == 1
    assert not leftovers(own_index)


@pytest.mark.parametrize("limit", [1_000, 20_000, 100_000, 1_000_000])
def test_a_disk_that_takes_no_more_is_one_sentence_and_the_previous_index_stays(
    built, encoder_folder, own_index, command, limit
):
    # a limit on the size of files stands in for the full disk: the same failing writes, in each library in turn
    done = subprocess.run(
        [*command, "build", built[0], "--encoder", encoder_folder, "--out", own_index],
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


def test_ctrl_c_during_a_build_is_one_sentence_and_the_previous_index_stays(
    built, encoder_folder, own_index, photographs, command, tmp_path
):
    photographs(tmp_path / "many", 600, (320, 240))
    process = subprocess.Popen(
        [*command, "build", tmp_path / "many", "--encoder", encoder_folder, "--out", own_index, "--batch-size", "1"],
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    said = b""
    while b"1/600" not in said:
        said += process.stderr.read1()
    process.send_signal(signal.SIGINT)
    said += process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert f"Stopped; {own_index} is whole, at generation 1." in said.decode()
    assert b"Traceback" not in said
    assert read_manifest(own_index).count == 12
    assert Bundle.open(own_index).generation == 1
    assert not leftovers(own_index)
