"""Several indexes, selected by name; new generations and new indexes are loaded without a dropped request."""

import errno
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from daco_core.errors import DacoError
from daco_index.build import BuildOptions, build_index
from daco_serve.engine.index_names import find_indexes
from daco_serve.engine.service import Service
from daco_serve.operation.settings import ServeSettings

from .conftest import hosted, served
from .test_refusals import refused


@pytest.fixture
def fewer(photographs: Path, tmp_path: Path) -> Path:
    """The first two photographs, without positions."""
    folder = tmp_path / "fewer"
    folder.mkdir()
    for number in (0, 1):
        shutil.copy(photographs / f"{number}.png", folder)
    return folder


def wait_for(what: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not what() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert what()


def test_queries_select_an_index_and_a_new_one_in_the_folder_is_loaded(
    index: Path, photographs: Path, encoder_folder: Path, fewer: Path, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    shutil.copytree(index, maps / "all")
    content = (photographs / "1.png").read_bytes()
    with hosted(maps, reload_seconds=0.1) as address, httpx.Client(base_url=address) as client:

        def listed() -> dict[str, int]:
            return {one["name"]: one["count"] for one in client.get("/v1/indexes").json()["indexes"]}

        assert listed() == {"all": 6}
        build_index(str(fewer), str(encoder_folder), maps / "few", BuildOptions(device="cpu", progress=False))
        wait_for(lambda: listed() == {"all": 6, "few": 2})
        by_default, chosen = (client.post(f"/v1/query{where}", content=content).json() for where in ("", "?index=few"))
        assert (by_default["index"]["name"], len(by_default["matches"])) == ("all", 5)
        assert (chosen["index"]["name"], len(chosen["matches"]), chosen["location"]) == ("few", 2, None)
        image = chosen["matches"][0]["image"]
        assert client.get(image).content == (fewer / "1.png").read_bytes()
        assert client.get(f"{image}&width=32").headers["content-type"] == "image/jpeg"
        refused(client.post("/v1/query?index=none", content=content), 404, "unknown_index")
        refused(client.get("/v1/references/1?index=none"), 404, "unknown_index")


def test_the_default_index_stays_the_same_and_addresses_contain_the_index(
    index: Path, photographs: Path, fewer: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    shutil.copytree(index, maps / "b")
    content = (photographs / "1.png").read_bytes()
    with hosted(maps, reload_seconds=0.1) as address, httpx.Client(base_url=address) as client:

        def images() -> list[str]:
            return [match["image"] for match in client.post("/v1/query", content=content).json()["matches"]]

        assert not any("index=" in image for image in images())
        build_index(str(fewer), str(encoder_folder), maps / "a", BuildOptions(device="cpu", progress=False))
        wait_for(lambda: len(client.get("/v1/indexes").json()["indexes"]) == 2)
        assert [one["name"] for one in client.get("/v1/indexes").json()["indexes"]] == ["b", "a"]
        assert client.get("/readyz").json()["index"]["name"] == "b"
        assert all(image.endswith("?index=b") for image in images())
    late = Service(ServeSettings(index=(str(maps),), device="cpu"), first="b")  # as a worker that replaces another
    late.load()
    assert (late.live.name, list(late.indexes)) == ("b", ["b", "a"])
    late.close()


def test_an_index_that_is_still_being_copied_is_tried_again(
    index: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    maps = tmp_path / "maps"
    shutil.copytree(index, maps / "all")
    with hosted(maps, reload_seconds=0.05) as address:
        part = shutil.copytree(index, tmp_path / "part", ignore=shutil.ignore_patterns("catalog*"))
        part.rename(maps / "late")
        wait_for(lambda: bool(complaints(caplog)))
        time.sleep(0.5)
        assert len(complaints(caplog)) == 1
        assert httpx.get(f"{address}/readyz").status_code == 200
        (failed,) = httpx.get(f"{address}/v1/indexes").json()["failed"]
        assert failed == {"name": "late", "reason": "its files are damaged, incomplete or of a newer version"}
        message = refused(httpx.post(f"{address}/v1/query?index=late", content=b"x"), 503, "index_unavailable")
        assert "damaged" in message and str(tmp_path) not in message
        shutil.copytree(index, maps / "late", dirs_exist_ok=True)
        wait_for(lambda: not httpx.get(f"{address}/v1/indexes").json()["failed"])
        assert len(httpx.get(f"{address}/v1/indexes").json()["indexes"]) == 2


def test_a_temporary_disk_error_does_not_end_the_search_for_new_generations(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    maps = tmp_path / "maps"
    shutil.copytree(index, maps / "all")
    ill = threading.Event()

    def find(given: tuple[str, ...]) -> dict[str, Path]:
        if ill.is_set():
            raise OSError(errno.ESTALE, "Stale file handle")
        return find_indexes(given)

    monkeypatch.setattr("daco_serve.engine.service.find_indexes", find)
    with hosted(maps, reload_seconds=0.05) as address:
        ill.set()
        wait_for(lambda: bool(complaints(caplog)))
        time.sleep(0.3)
        assert len(complaints(caplog)) == 1 and "Stale file handle" in complaints(caplog)[0]
        ill.clear()
        shutil.copytree(index, maps / "late")
        wait_for(lambda: len(httpx.get(f"{address}/v1/indexes").json()["indexes"]) == 2)


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]


def test_a_new_generation_is_loaded_without_a_dropped_request(
    own_index: Path, photographs: Path, encoder_folder: Path
) -> None:
    content = (photographs / "1.png").read_bytes()
    statuses: list[int] = []
    generations: set[int] = set()
    stop = threading.Event()

    def ask_on(address: str) -> None:
        with httpx.Client(base_url=address, timeout=30) as client:
            while not stop.is_set():
                response = client.post("/v1/query", content=content)
                statuses.append(response.status_code)
                generations.add(response.json()["index"]["generation"])

    with served(own_index, DACO_RELOAD_SECONDS="0.05") as (address, _):
        askers = [threading.Thread(target=ask_on, args=[address]) for _ in range(3)]
        for asker in askers:
            asker.start()
        for _ in range(3):
            build_index(str(photographs), str(encoder_folder), own_index, BuildOptions(device="cpu", progress=False))
        wait_for(lambda: 4 in generations)
        stop.set()
        for asker in askers:
            asker.join()
    assert set(statuses) == {200}


def test_indexes_are_named_after_their_folders_unless_a_name_is_given(index: Path, tmp_path: Path) -> None:
    assert find_indexes([str(index)]) == {"map": index}
    assert find_indexes([f"day={index}", str(index)]) == {"day": index, "map": index}
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        shutil.copy(index / "CURRENT", tmp_path / name)
    assert list(find_indexes([str(tmp_path)])) == ["a", "b"]


def test_two_indexes_with_one_name_are_rejected(index: Path) -> None:
    with pytest.raises(DacoError, match="NAME=PATH"):
        find_indexes([str(index), str(index)])


@pytest.fixture
def ill_maps(index: Path, tmp_path: Path) -> Path:
    """A folder of indexes of which one is well."""
    maps = tmp_path / "maps"
    shutil.copytree(index, maps / "day")
    shutil.copytree(index, maps / "damaged")
    vectors = maps / "damaged/generations/1/vectors.faiss"
    vectors.write_bytes(vectors.read_bytes()[:-1] + b"x")
    shutil.copytree(index, maps / "newer")
    (maps / "newer" / "CURRENT").write_text("of another time")
    shutil.copytree(index, maps / "encoderless", ignore=shutil.ignore_patterns("encoder"))
    shutil.copytree(index, maps / "with a space")
    return maps


@pytest.mark.parametrize("workers", [1, 2])
def test_a_damaged_index_does_not_affect_others(ill_maps: Path, photographs: Path, workers: int) -> None:
    content = (photographs / "1.png").read_bytes()
    with served(f"day={ill_maps / 'day'}", "--index", ill_maps, "--workers", workers) as (address, _):  # type: ignore[arg-type]
        assert httpx.get(f"{address}/readyz").status_code == 200
        assert httpx.post(f"{address}/v1/query", content=content).status_code == 200
        answer = httpx.get(f"{address}/v1/indexes").json()
        assert [one["name"] for one in answer["indexes"]] == ["day"]
        assert {one["name"] for one in answer["failed"]} == {"damaged", "newer", "encoderless"}


def test_the_server_does_not_start_without_a_usable_index(ill_maps: Path) -> None:
    shutil.rmtree(ill_maps / "day")
    service = Service(ServeSettings(index=(str(ill_maps),), device="cpu"))
    with pytest.raises(DacoError):
        service.load()
    service.close()


def test_a_damaged_default_index_leaves_others_working_and_the_server_unready(
    ill_maps: Path, photographs: Path
) -> None:
    content = (photographs / "1.png").read_bytes()
    with hosted((f"first={ill_maps / 'damaged'}", f"day={ill_maps / 'day'}"), reload_seconds=0.05) as address:  # type: ignore[arg-type]
        refused(httpx.get(f"{address}/readyz"), 503, "index_unavailable")
        refused(httpx.post(f"{address}/v1/query", content=content), 503, "index_unavailable")
        assert httpx.post(f"{address}/v1/query?index=day", content=content).status_code == 200
        shutil.copytree(ill_maps / "day", ill_maps / "damaged", dirs_exist_ok=True)
        wait_for(lambda: httpx.get(f"{address}/readyz").status_code == 200)
        assert httpx.post(f"{address}/v1/query", content=content).json()["index"]["name"] == "first"


def test_an_index_in_a_folder_with_an_unusable_name_is_ignored_and_logged_once(
    ill_maps: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert "with a space" not in find_indexes([str(ill_maps)])
    with hosted(ill_maps, reload_seconds=0.05):
        time.sleep(0.5)
    (line,) = [line for line in complaints(caplog) if "is ignored" in line]
    assert "'with a space' cannot be the name of an index" in line


def test_a_folder_of_indexes_that_is_missing_for_a_moment_is_not_taken_for_an_index(
    index: Path, tmp_path: Path
) -> None:
    maps = tmp_path / "maps"
    shutil.copytree(index, maps / "day")
    with hosted(maps, reload_seconds=0.05) as address:

        def listed() -> tuple[list[str], list[str]]:
            answer = httpx.get(f"{address}/v1/indexes").json()
            return [one["name"] for one in answer["indexes"]], [one["name"] for one in answer["failed"]]

        maps.rename(tmp_path / "elsewhere")
        wait_for(lambda: listed() == (["day"], ["maps"]))
        (tmp_path / "elsewhere").rename(maps)
        wait_for(lambda: listed() == (["day"], []))
        assert httpx.get(f"{address}/readyz").status_code == 200
