"""Interrupts writers of an index at every step, and checks the index afterwards; run as a program by the tests.

python faults.py kill|race|fill FOLDER ENCODER [--every N] [--store ADDRESS] [--only NAME ...]

kill: a fork makes a change of an index and kills itself (SIGKILL) before its n-th step: whatever changes the folder of
the index, and each call to Milvus. For every n (or every N-th) until the change comes through, and then by a kill from
outside at moments of time, which reach into what FAISS, SQLite and safetensors write.
race: several forks add different photographs to one index at once.
fill: FOLDER is a small file system that holds nothing else; the change finds so and so many bytes free on it.

After each, the index has to answer, intact, as it was before or as the change makes it: every file verified, every
photograph found by its own descriptor. Then the same change is made again, and has to come through. Prints one JSON
object of counts.
"""

import argparse
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from daco_core.errors import DacoError
from daco_index.build import BuildOptions, build_index
from daco_index.embedding.options import EmbeddingOptions
from daco_index.generations.change import add_photographs, remove_photographs, update_index
from daco_index.generations.merge import merge_indexes
from daco_index.generations.rollback import roll_back
from daco_index.generations.verify import verify_index
from daco_index.search.bundle import Bundle
from daco_index.search.stores.connection import Connection

STEPS = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.truncate", "sqlite3.connect"}
QUIET = EmbeddingOptions(batch_size=2, device="cpu", progress=False)
MOMENTS = 12  # kills from outside, for each change
ROUNDS = 6  # of a race
WRITERS = 4
FILLS = 14  # amounts of free space, for each change
REFUSED = 3

Change = Callable[[Path], object]
# the names of the photographs that an index holds; None where there is no index
State = list[str] | None


@dataclass(frozen=True)
class Operation:
    """A change of an index: what it starts from, made once and copied for each attempt, and what it does."""

    name: str
    base: Path
    change: Change


def draw(folder: Path, numbers: range, suffix: str = ".png") -> Path:
    """Pictures of coloured blocks, all different."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        blocks = np.random.default_rng(number).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(blocks).resize((80, 64), Image.Resampling.NEAREST).save(folder / f"{number:03d}{suffix}")
    return folder


def operations(root: Path, encoder: Path, store: str | None) -> list[Operation]:
    """Every command that writes an index, each on an index of 8 photographs."""
    north, south, changed = draw(root / "north", range(8)), draw(root / "south", range(8, 12)), root / "changed"

    def build(source: Path, out: Path) -> None:
        build_index(
            str(source), str(encoder), out, BuildOptions(batch_size=2, device="cpu", progress=False, store=store)
        )

    def in_fork(work: Callable[[], object]) -> None:
        assert fork(work) == 0, "what the attempts start from cannot be made"

    in_fork(lambda: build(north, root / "base"))
    in_fork(lambda: build(south, root / "other"))
    in_fork(lambda: build(draw(changed, range(8)), root / "moved"))
    (changed / "000.png").unlink()
    draw(changed, range(20, 22))
    shutil.copyfile(changed / "020.png", changed / "001.png")
    shutil.copytree(root / "base", root / "older")
    in_fork(lambda: remove_photographs(root / "older", ids=[1, 2, 3]))
    return [
        Operation("first build", root / "nothing", lambda index: build(north, index)),
        Operation("build", root / "base", lambda index: build(draw(root / "both", range(3, 11)), index)),
        Operation("add", root / "base", lambda index: add_photographs(index, str(south), options=QUIET)),
        Operation("remove", root / "base", lambda index: remove_photographs(index, ids=[0, 5])),
        Operation("update", root / "moved", lambda index: update_index(index, QUIET)),
        Operation("rollback", root / "older", roll_back),
        Operation("merge", root / "base", lambda index: merge_indexes([index, root / "other"], index)),
    ]


def start(work: Callable[[], object]) -> int:
    """The number of a fork that does the work."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        except DacoError as error:
            print(error, file=sys.stderr)
            code = REFUSED
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    return child


def wait(child: int) -> int:
    """The exit code of a fork; -9 where it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fork(work: Callable[[], object]) -> int:
    """The exit code of a fork that does the work."""
    return wait(start(work))


def die_at_step(index: Path, number: int) -> None:
    """Lets this process kill itself before its step of that number."""
    left = number
    inside = str(index)

    def step() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def hear(event: str, arguments: tuple[object, ...]) -> None:
        if event not in STEPS or not any(inside in str(argument) for argument in arguments[:2]):
            return
        if event == "open" and str(arguments[1]).startswith("r") and "+" not in str(arguments[1]):
            return  # reading changes nothing
        step()

    sys.addaudithook(hear)
    call = Connection.call

    def counted(self: Connection, *arguments: object, **keywords: object) -> object:
        step()
        return call(self, *arguments, **keywords)  # type: ignore[arg-type]

    Connection.call = counted  # type: ignore[method-assign]


def state(index: Path) -> State:
    """What the index holds, once all of it is verified. Raises AssertionError or DacoError where it is not intact."""
    if not (index / "CURRENT").exists():
        return None
    bundle = Bundle.open(index)
    assert (bundle.local is None) == (bundle.encoder.config.local_grid is None), "local descriptors are not kept"
    entries = bundle.catalog.all()
    ids = np.array([entry.id for entry in entries])
    found = bundle.search(bundle.store.vectors(ids), 1)
    contents = [entry.sha256 for entry in entries]  # of which there may be copies
    assert [answer[0].entry.sha256 for answer in found] == contents, "a photograph is not found by its own descriptor"
    live = [one.problems for one in verify_index(index) if one.live]
    assert live == [[]], live
    return sorted(Path(entry.path).name for entry in entries)


def look(index: Path) -> State:
    """As `state`, in a fork, so that this process stays free of threads, which a fork would not take along."""
    reader, writer = os.pipe()
    code = fork(lambda: os.write(writer, json.dumps(state(index)).encode()))
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = stream.read()
    assert code == 0, f"{index} is not intact: see above"
    found: State = json.loads(answer)
    return found


def fresh(operation: Operation, index: Path) -> Path:
    """The index that an attempt is made on."""
    shutil.rmtree(index, ignore_errors=True)
    if operation.base.exists():
        shutil.copytree(operation.base, index)
    return index


def outcomes(operation: Operation, index: Path) -> tuple[State, State, float]:
    """What the index holds before the change and after it, and the seconds that it takes."""
    before = look(fresh(operation, index))
    began = time.perf_counter()
    assert fork(lambda: operation.change(index)) == 0
    seconds = time.perf_counter() - began
    return before, look(index), seconds


def judge(operation: Operation, index: Path, before: State, after: State, what: str) -> str:
    """`old` or `new`, by what answers after an attempt was broken off; the change, made again, comes through."""
    found = look(index)
    assert found in (before, after), f"{operation.name}, {what}: {found} answers"
    if found == before:
        assert fork(lambda: operation.change(index)) == 0, f"{operation.name}, {what}: it cannot be made again"
        assert look(index) == after, f"{operation.name}, {what}: made again, it gives something else"
    return "old" if found == before else "new"


def kill(operation: Operation, index: Path, every: int) -> dict[str, int]:
    before, after, seconds = outcomes(operation, index)
    counts: Counter[str] = Counter()
    step = 0
    while True:
        fresh(operation, index)

        def change(step: int = step) -> None:
            die_at_step(index, step)
            operation.change(index)

        if fork(change) == 0:
            break
        counts["killed at a step"] += 1
        counts[f"then {judge(operation, index, before, after, f'killed at step {step}')} answers"] += 1
        step += every
    for moment in np.linspace(0, seconds, max(2, MOMENTS // every)):
        fresh(operation, index)
        child = start(lambda: operation.change(index))
        time.sleep(moment)
        os.kill(child, signal.SIGKILL)
        counts["killed at a moment"] += wait(child) != 0
        counts[f"then {judge(operation, index, before, after, f'killed at {moment:.3f} s')} answers"] += 1
    return dict(counts)


def race(root: Path, encoder: Path, every: int) -> dict[str, int]:
    build = operations(root, encoder, None)[0].base.with_name("base")
    sources = [
        str(draw(root / f"writer{number}", range(30 + 2 * number, 32 + 2 * number))) for number in range(WRITERS)
    ]
    counts: Counter[str] = Counter()
    for _ in range(max(2, ROUNDS // every)):
        index = root / "trial"
        shutil.rmtree(index, ignore_errors=True)
        shutil.copytree(build, index)
        children = [start(partial(add_photographs, index, source, options=QUIET)) for source in sources]
        codes = [wait(child) for child in children]
        assert set(codes) <= {0, REFUSED} and 0 in codes, codes
        through = [source for code, source in zip(codes, sources, strict=True) if code == 0]
        joined = [picture.name for source in through for picture in Path(source).iterdir()]
        assert look(index) == sorted([f"{number:03d}.png" for number in range(8)] + joined)
        counts["writers that came through"] += codes.count(0)
        counts["writers turned away"] += codes.count(REFUSED)
    return dict(counts)


def fill(operation: Operation, index: Path, every: int) -> dict[str, int]:
    """The index lies on a small file system, on which ballast leaves less and less for the change."""
    before, after, _ = outcomes(operation, index)
    needed = 2 * sum(file.stat().st_size for file in index.rglob("*") if file.is_file())
    ballast = index.with_name("ballast")
    counts: Counter[str] = Counter()
    for free in np.linspace(0, needed, max(3, FILLS // every)).astype(int):
        ballast.unlink(missing_ok=True)
        fresh(operation, index)
        room = os.statvfs(index.parent)
        with ballast.open("wb") as stream:
            os.posix_fallocate(stream.fileno(), 0, max(1, room.f_bavail * room.f_frsize - int(free)))
        code = fork(lambda: operation.change(index))
        assert code in (0, REFUSED), f"{operation.name} with {free} bytes free ends with {code}"
        found = look(index)
        assert found == (after if code == 0 else before), f"{operation.name} with {free} bytes free: {found} answers"
        ballast.unlink()
        judge(operation, index, before, after, f"{free} bytes free")
        counts["came through" if code == 0 else "refused"] += 1
    return dict(counts)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["kill", "race", "fill"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("encoder", type=Path)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--store")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if given.what == "race":
            report = {"add": race(root, given.encoder, given.every)}
        else:
            attempt = kill if given.what == "kill" else fill
            report = {
                operation.name: attempt(operation, given.folder / "index", given.every)
                for operation in operations(root, given.encoder, given.store)
                if not given.only or operation.name in given.only
            }
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
