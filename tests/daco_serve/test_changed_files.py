"""Files of a served index are changed in place: no crash, no wrong answer, and other indexes keep answering."""

import os
import shutil
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from daco_index.build import BuildOptions, build_index
from daco_index.generations.manifest import Manifest
from daco_index.search.bundle import Bundle
from daco_index.search.index_choice import SearchOptions
from daco_index.search.stores.faiss import FaissStore
from daco_serve.engine.service import Service
from daco_serve.operation.settings import ServeSettings

from ..local_parts import draw_streets, save_grid_encoder
from .conftest import hosted, served
from .test_indexes import wait_for
from .test_refusals import refused
from .test_workers import eventually, workers_of

ROUND = 8  # answers: a photograph of each street
FILES = [
    "catalog.sqlite",
    "vectors.faiss",
    "vectors.candidates.faiss",
    "local.bin",
    "encoder/model.onnx",
    "encoder/encoder.json",
    "manifest.json",
]


@pytest.fixture(scope="module")
def streets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_streets(tmp_path_factory.mktemp("streets"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_grid_encoder(tmp_path_factory.mktemp("encoder") / "grid")


@pytest.fixture(scope="module")
def large(streets: Path, encoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index with all kinds of files: candidates, so that the exact vectors stay on disk, and local descriptors."""
    out = tmp_path_factory.mktemp("large") / "index"
    options = BuildOptions(device="cpu", progress=False, search=SearchOptions(factory="IVF2,Flat"))
    build_index(str(streets), str(encoder), out, options)
    return out


@pytest.fixture
def maps(large: Path, tmp_path: Path) -> Path:
    """A folder of two indexes, to be changed."""
    for name in ("changed", "whole"):
        shutil.copytree(large, tmp_path / "maps" / name)
    return tmp_path / "maps"


def half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def nothing(file: Path) -> None:
    os.truncate(file, 0)


def zeros(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.write(bytes(file.stat().st_size))


def noise(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(file.stat().st_size // 3)
        stream.write(os.urandom(file.stat().st_size // 3))


CHANGES: list[Callable[[Path], None]] = [half, nothing, zeros, noise]


class Asking:
    """Clients that ask both indexes for their photographs, and note what they were told."""

    def __init__(self, address: str, streets: Path) -> None:
        self.told: Counter[tuple[str, str]] = Counter()
        self._address = address
        self._contents = {path.stem: path.read_bytes() for path in sorted(streets.glob("*.png"))}
        self._over = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def at_work(self) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask, args=(name,)) for name in ("changed", "whole") * 2]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()

    def answers(self, name: str) -> int:
        with self._lock:
            return sum(count for (index, _), count in self.told.items() if index == name)

    def _ask(self, name: str) -> None:
        while not self._over.is_set():
            for place, content in self._contents.items():
                try:
                    # a connection each, so that every worker is asked
                    response = httpx.post(f"{self._address}/v1/query?index={name}", content=content, timeout=30)
                except httpx.HTTPError as error:
                    outcome = repr(error)
                else:
                    found = response.json()
                    if response.status_code == 200:
                        best = found["matches"][0]
                        outcome = "right" if best["place"] == place and best["votes"] > 40 else f"wrong: {best}"
                    else:
                        outcome = f"{response.status_code} {found['error']['code']}"
                with self._lock:
                    self.told[name, outcome] += 1


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
@pytest.mark.parametrize(
    ("workers", "files", "changes"),
    [
        (1, ["vectors.faiss", "local.bin"], [half]),
        pytest.param(1, FILES, CHANGES, marks=pytest.mark.slow),
        pytest.param(2, ["catalog.sqlite", "vectors.faiss", "local.bin"], CHANGES, marks=pytest.mark.slow),
    ],
)
def test_files_changed_in_place_under_load_end_no_process_and_cause_no_wrong_answer(
    maps: Path, streets: Path, workers: int, files: list[str], changes: list[Callable[[Path], None]]
) -> None:
    folder = maps / "changed" / "generations" / "1"
    with served(maps, "--workers", workers, DACO_RELOAD_SECONDS="0.05") as (address, process):
        processes = workers_of(process.pid)
        asking = Asking(address, streets)
        with asking.at_work():
            for name in files:
                content = (folder / name).read_bytes()
                for change in changes:
                    before = asking.answers("changed")
                    change(folder / name)
                    assert eventually(lambda: asking.answers("changed") > before + ROUND), (name, change)  # noqa: B023
                    with (folder / name).open("r+b") as stream:  # in place, as it was changed
                        stream.write(content)
                    before = asking.told["changed", "right"]
                    well = eventually(lambda: asking.told["changed", "right"] > before + ROUND)  # noqa: B023
                    assert well, (name, change, asking.told)
        assert process.poll() is None
        if workers > 1:
            assert workers_of(process.pid) == processes
    print(dict(asking.told))
    assert {outcome for index, outcome in asking.told if index == "whole"} == {"right"}
    assert {outcome for index, outcome in asking.told if index == "changed"} == {"right", "503 index_unavailable"}


def test_data_in_memory_keep_answering_and_the_damage_is_reported_until_it_is_repaired(
    index: Path, photographs: Path, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    folder = shutil.copytree(index, maps / "all") / "generations" / "1"
    content = (photographs / "2.png").read_bytes()
    with hosted(maps, reload_seconds=0.05) as address, httpx.Client(base_url=address, timeout=30) as client:
        for name in ("vectors.faiss", "catalog.sqlite"):
            kept = (folder / name).read_bytes()
            half(folder / name)
            wait_for(lambda: client.get("/v1/indexes").json()["indexes"][0]["problem"] is not None)
            assert client.post("/v1/query", content=content).json()["matches"][0]["place"] == "place 2"
            assert client.get("/readyz").status_code == 200
            if name == "catalog.sqlite":
                for asked in ("/v1/indexes/all/coverage", "/v1/references/2?index=all"):
                    found = client.get(asked)
                    assert found.status_code == 200 or found.json()["error"]["code"] == "index_unavailable"
                refused(client.post("/v1/query?prior=35,139,100", content=content), 503, "index_unavailable")
            (folder / name).write_bytes(kept)
            wait_for(lambda: client.get("/v1/indexes").json()["indexes"][0]["problem"] is None)
            assert client.post("/v1/query?prior=35,139,100", content=content).status_code == 200


def test_an_index_whose_local_descriptors_cannot_be_read_is_not_ready(maps: Path) -> None:
    with hosted(maps / "changed", reload_seconds=60) as address:
        assert httpx.get(f"{address}/readyz").status_code == 200
        half(maps / "changed" / "generations" / "1" / "local.bin")
        message = refused(httpx.get(f"{address}/readyz"), 503, "index_unavailable")
        assert str(maps) not in message


def test_replacing_a_link_while_an_index_is_opened_does_not_mix_two_indexes(
    maps: Path, streets: Path, encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "link"
    link.symlink_to(maps / "whole")
    (maps / "changed" / "calibration.json").write_text("of another index")
    verify = Manifest.verify_files

    def exchange(manifest: Manifest, folder: Path) -> None:
        verify(manifest, folder)
        link.unlink()
        link.symlink_to(maps / "changed")

    monkeypatch.setattr(Manifest, "verify_files", exchange)
    bundle = Bundle.open(link)
    assert bundle.local is not None and isinstance(bundle.store, FaissStore) and bundle.store.file is not None
    files = {bundle.catalog.file.path, bundle.local.file.path, bundle.store.file.path, bundle.encoder.folder}
    assert {file.is_relative_to(maps / "whole") for file in files} == {True}


def test_a_damaged_prior_of_the_package_leaves_answers_uncalibrated_and_the_index_in_service(
    large: Path, streets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for number, damage in enumerate([b"", b"{", b"[]", b'{"format_version": 1}', b"\xff\xfe", None]):
        prior = tmp_path / f"{number}.json"
        prior.write_bytes(damage) if damage is not None else prior.mkdir()
        monkeypatch.setattr("daco_serve.engine.calibration.PRIOR_FILE", prior)
        caplog.clear()
        service = Service(ServeSettings(index=(str(large),), device="cpu"))
        service.load()
        assert service.live.summary.calibrated is None
        service.close()
        assert len([record for record in caplog.records if str(prior) in record.getMessage()]) == (damage is not None)
