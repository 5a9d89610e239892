"""A written path has its old or its new content, however the writer ends; no temporary files remain."""

import errno
import fcntl
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from daco_core import files
from daco_core.files import held_by_one_process, recover, replace_file, replace_folder, write_bytes, write_text

# what changes the disk; a process that ends before each of them in turn has been killed everywhere it matters
STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}
KILLED = """
import os, sys
from pathlib import Path
from daco_core import files

left = int(sys.argv[2])

def step(event, arguments):
    global left
    if event in {steps} and sys.argv[1] in str(arguments[0]):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), 9)

if {two_steps}:
    files._exchange = lambda fresh, path: False
sys.addaudithook(step)
{change}
"""
CHANGE_FILE = "files.write_text(Path(sys.argv[1]) / 'thing', 'new')"
CHANGE_FOLDER = """
with files.replace_folder(Path(sys.argv[1]) / "thing") as fresh:
    (fresh / "one").write_text("new")
    (fresh / "two").write_text("new")
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def content(path: Path) -> dict[str, str] | str:
    if path.is_file():
        return path.read_text()
    return {file.name: file.read_text() for file in path.iterdir()}


@pytest.fixture(params=["exchange", "two steps"])
def way(request, monkeypatch) -> str:
    """Folders are exchanged in one step, or the file system cannot do that."""
    if request.param == "two steps":
        monkeypatch.setattr(files, "_exchange", lambda fresh, path: False)
    return str(request.param)


def test_a_file_is_created_and_replaced_without_leftover_files(tmp_path):
    for text in ("first", "second, with é and 日本"):
        write_text(tmp_path / "a.json", text)
        assert (tmp_path / "a.json").read_text(encoding="utf-8") == text
        assert names(tmp_path) == ["a.json"]


def test_a_secret_file_is_never_readable_by_others(tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        modes: list[int] = []
        patch.setattr(files, "sync", lambda path: modes.append(path.stat().st_mode & 0o777))
        write_bytes(tmp_path / "keys.json", b"{}", mode=0o600)
    assert modes[0] == 0o600
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_the_temporary_file_has_the_final_name(tmp_path):
    with replace_file(tmp_path / "picture.png") as fresh:
        assert fresh.name == "picture.png"
        assert not fresh.exists()
        fresh.write_text("whole")
        assert not (tmp_path / "picture.png").exists()
    assert content(tmp_path / "picture.png") == "whole"


def test_each_write_is_synced_before_it_is_renamed_and_the_rename_is_synced_after(tmp_path, monkeypatch):
    happened: list[str] = []
    monkeypatch.setattr(files, "sync", lambda path: happened.append(f"sync {path.name}"))
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda self, target: (happened.append(f"rename {target.name}"), replace(self, target))[1]
    )
    write_text(tmp_path / "a.txt", "text")
    assert happened == ["sync a.txt", "rename a.txt", f"sync {tmp_path.name}"]


def test_a_folder_is_created_and_replaced_atomically(tmp_path, way):
    for text in ("first", "second"):
        with replace_folder(tmp_path / "encoder") as fresh:
            assert not list(fresh.iterdir())
            (fresh / f"{text}.txt").write_text(text)
            (fresh / "inner").mkdir()
            (fresh / "inner" / "deep.txt").write_text(text)
        assert names(tmp_path / "encoder") == sorted([f"{text}.txt", "inner"])
        assert names(tmp_path) == ["encoder"]


@pytest.mark.skipif(sys.platform != "linux", reason="macOS syncs folders otherwise")
def test_an_existing_folder_is_never_missing_while_it_is_replaced(tmp_path):
    folder = tmp_path / "encoder"
    with replace_folder(folder) as fresh:
        (fresh / "a.txt").write_text("a")

    def write() -> None:
        for number in range(30):
            with replace_folder(folder) as fresh:
                (fresh / "a.txt").write_text(str(number))

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not writing.done():
            assert (folder / "a.txt").exists()
        writing.result()


@pytest.mark.parametrize("replaced", [replace_file, replace_folder])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_a_failed_write_keeps_the_old_content_and_leaves_no_temporary_files(tmp_path, replaced, error):
    path = tmp_path / "thing"
    with replace_file(path) as fresh:
        fresh.write_text("old")
    with pytest.raises(type(error)), replaced(path) as fresh:
        (fresh / "part" if fresh.is_dir() else fresh).write_text("half")
        raise error
    assert content(path) == "old"
    assert names(tmp_path) == ["thing"]


def test_a_second_rename_that_fails_puts_the_old_folder_back(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_exchange", lambda fresh, path: False)
    folder = tmp_path / "encoder"
    folder.mkdir()
    (folder / "a.txt").write_text("old")
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name == "encoder" and target == folder and ".encoder.new" in str(self):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output"), replace_folder(folder) as fresh:
        (fresh / "a.txt").write_text("new")
    assert content(folder) == {"a.txt": "old"}
    assert names(tmp_path) == ["encoder"]


@pytest.mark.parametrize(("change", "two_steps"), [(CHANGE_FILE, False), (CHANGE_FOLDER, False), (CHANGE_FOLDER, True)])
def test_a_writer_killed_at_any_step_leaves_the_old_or_new_content_and_the_next_writer_cleans_up(
    tmp_path, change, two_steps
):
    """Each step in turn, until the change comes through."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(steps=STEPS, change=change, two_steps=two_steps))
    seen = set()
    for step in range(100):
        folder = tmp_path / f"{step}"
        folder.mkdir()
        if change == CHANGE_FILE:
            (folder / "thing").write_text("old")
        else:
            (folder / "thing").mkdir()
            (folder / "thing" / "one").write_text("old")
            (folder / "thing" / "two").write_text("old")
        code = subprocess.run([sys.executable, script, folder, str(step)], check=False).returncode
        recover(folder / "thing")
        found = content(folder / "thing")
        assert found in ("old", "new", {"one": "old", "two": "old"}, {"one": "new", "two": "new"})
        seen.add("old" in str(found))
        if change == CHANGE_FILE:
            write_text(folder / "thing", "newest")
        else:
            with replace_folder(folder / "thing") as fresh:
                (fresh / "one").write_text("newest")
        assert names(folder) == ["thing"]
        assert "newest" in str(content(folder / "thing"))
        if code == 0:
            break
    assert seen == {True, False}
    assert step >= 3


def test_concurrent_writers_of_one_path_do_not_mix_their_contents(tmp_path, way):
    def write(number: int) -> None:
        for _ in range(20):
            with replace_folder(tmp_path / "cache") as fresh:
                (fresh / "a").write_text(str(number))
                (fresh / "b").write_text(str(number))

    def write_file(number: int) -> None:
        for _ in range(20):
            write_text(tmp_path / "file", str(number) * 1000)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
        list(pool.map(write_file, range(4)))
    assert len(set(content(tmp_path / "cache").values())) == 1
    assert len(set((tmp_path / "file").read_text())) == 1
    assert not [name for name in names(tmp_path) if name.startswith(".")]


def test_a_folder_that_was_created_meanwhile_is_replaced(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    is_dir, looked = Path.is_dir, []

    def made_just_after(self: Path) -> bool:
        found = is_dir(self)
        if self == folder and not looked:
            looked.append(self)
            folder.mkdir()
            (folder / "a.txt").write_text("the faster one's")
        return found

    with replace_folder(folder) as fresh:
        (fresh / "a.txt").write_text("new")
        monkeypatch.setattr(Path, "is_dir", made_just_after)
    assert looked
    assert content(folder) == {"a.txt": "new"}
    assert names(tmp_path) == ["cache"]


def test_leftovers_of_a_second_killed_writer_are_recovered_too(tmp_path):
    """It was killed between its two renames, while another writer had the first hidden folder."""
    first, second = tmp_path / ".thing.new", tmp_path / ".thing.new7"
    first.mkdir()
    (second / "thing").mkdir(parents=True)
    (second / "thing" / "one").write_text("new")
    (second / "before").mkdir()
    lock = os.open(first, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    recover(tmp_path / "thing")
    assert content(tmp_path / "thing") == {"one": "new"}
    assert names(tmp_path) == [".thing.new", "thing"]  # the first is still in use
    os.close(lock)
    with replace_folder(tmp_path / "thing") as fresh:
        (fresh / "one").write_text("newest")
    assert content(tmp_path / "thing") == {"one": "newest"}
    assert names(tmp_path) == ["thing"]


def test_a_leftover_that_is_no_folder_is_kept(tmp_path):
    (tmp_path / ".a.txt.new").write_text("of somebody else")
    write_text(tmp_path / "a.txt", "text")
    assert names(tmp_path) == [".a.txt.new", "a.txt"]
    assert content(tmp_path / ".a.txt.new") == "of somebody else"


@pytest.mark.parametrize("name", ["ä" * 127, "n" * 250 + ".jpg", "x"])
def test_any_name_that_the_file_system_takes_can_be_written(tmp_path, name):
    write_text(tmp_path / name, "text")
    assert names(tmp_path) == [name]


def test_writing_works_on_a_file_system_without_locks_or_folder_syncs(tmp_path, monkeypatch):
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "Operation not supported")

    fsync = os.fsync
    monkeypatch.setattr("fcntl.flock", unsupported)
    monkeypatch.setattr(
        "os.fsync",
        lambda descriptor: unsupported() if stat.S_ISDIR(os.fstat(descriptor).st_mode) else fsync(descriptor),
    )
    write_text(tmp_path / "a.txt", "text")
    with replace_folder(tmp_path / "b") as fresh:
        (fresh / "c").write_text("c")
    assert names(tmp_path) == ["a.txt", "b"]
    with held_by_one_process(tmp_path / "lock"):
        pass


def test_a_lock_is_held_once_and_free_again_afterwards(tmp_path):
    file = tmp_path / "lock"
    with held_by_one_process(file), pytest.raises(BlockingIOError), held_by_one_process(file):
        pass
    with held_by_one_process(file):
        pass


def test_a_lock_is_free_again_when_its_process_was_killed(tmp_path):
    file = tmp_path / "lock"
    code = "import sys, time; from pathlib import Path; from daco_core.files import held_by_one_process\n"
    code += "with held_by_one_process(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(file)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(BlockingIOError), held_by_one_process(file):
            pass
        process.kill()
    with held_by_one_process(file):
        pass


def test_a_file_that_cannot_be_synced_is_not_published(tmp_path, monkeypatch):
    write_text(tmp_path / "a.txt", "old")

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(OSError, match="Input/output"):
        write_text(tmp_path / "a.txt", "new")
    assert content(tmp_path / "a.txt") == "old"


def test_nothing_to_recover_changes_nothing(tmp_path):
    with suppress(FileNotFoundError):
        recover(tmp_path / "nothing")
    (tmp_path / "there").mkdir()
    recover(tmp_path / "there")
    assert names(tmp_path) == ["there"]
