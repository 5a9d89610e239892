"""Under load: killed workers are replaced, new generations are loaded, and every client gets an answer or an error."""

import http.client
import json
import os
import shutil
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from daco_index.build import BuildOptions, build_index

from .conftest import hosted, served
from .hostile import photo
from .test_observing import samples
from .test_workers import eventually, workers_of

CLIENTS = 6
BROKEN = "connection broken"


class Load:
    """Clients that ask for one photograph of the six again and again, until told to stop."""

    def __init__(self, address: str, photographs: Path) -> None:
        self.outcomes: Counter[str] = Counter()
        self.generations: list[int] = []
        self._address = address
        self._contents = [(photographs / f"{number}.png").read_bytes() for number in range(6)]
        self._over = threading.Event()
        self._lock = threading.Lock()

    def during(self, work: Callable[[], None]) -> None:
        with ThreadPoolExecutor(CLIENTS) as pool:
            asking = [pool.submit(self._ask, number) for number in range(CLIENTS)]
            try:
                work()
            finally:
                self._over.set()
            for future in asking:
                future.result()

    @property
    def answered(self) -> int:
        return self.outcomes["200"]

    def _ask(self, number: int) -> None:
        where = urlsplit(self._address).netloc
        while not self._over.is_set():
            # a connection each: a worker's death must not be hidden by one that is kept
            connection = http.client.HTTPConnection(where, timeout=60)
            try:
                connection.request("POST", "/v1/query", self._contents[number])
                response = connection.getresponse()
                answer = json.loads(response.read())
            except ConnectionRefusedError:
                return  # the server was told to stop
            except (ConnectionError, http.client.HTTPException):
                outcome = BROKEN
            else:
                outcome = str(response.status)
                if response.status == 200:
                    assert answer["matches"][0]["place"] == f"place {number}"
                    self.generations.append(answer["index"]["generation"])
            finally:
                connection.close()
            with self._lock:
                self.outcomes[outcome] += 1


def test_new_generations_under_load_drop_no_request(
    own_index: Path, photographs: Path, encoder_folder: Path, tmp_path: Path
) -> None:
    more = Path(shutil.copytree(photographs, tmp_path / "more"))
    with hosted(own_index, reload_seconds=0.05) as address:

        def publish() -> None:
            for number in range(4):
                before = load.answered
                (more / f"another {number}.png").write_bytes(photo("PNG", (90 + number, 70)))
                build_index(str(more), str(encoder_folder), own_index, BuildOptions(device="cpu", progress=False))
                assert eventually(lambda: load.answered >= before + 2 * CLIENTS)  # noqa: B023
            assert eventually(lambda: 5 in load.generations)

        load = Load(address, photographs)
        load.during(publish)
    print(dict(load.outcomes), "generations", Counter(load.generations))
    assert set(load.outcomes) == {"200"}
    assert {1, 5} <= set(load.generations) <= {1, 2, 3, 4, 5}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_workers_killed_under_load_are_replaced_and_their_clients_are_disconnected_at_once(
    index: Path, photographs: Path
) -> None:
    """What a killed worker had taken is lost, as it must be, but not silently: its clients see it and ask again."""
    kills = 5
    with served(index, "--workers", 2) as (address, process):
        load = Load(address, photographs)

        def kill() -> None:
            for _ in range(kills):
                before = load.answered
                assert eventually(lambda: load.answered > before + 2 * CLIENTS)  # noqa: B023
                victim = min(workers_of(process.pid))
                os.kill(victim, signal.SIGKILL)
                assert eventually(lambda victim=victim: len(workers_of(process.pid) - {victim}) == 2)  # type: ignore[misc]

        load.during(kill)
        counted = samples(address)
    print(dict(load.outcomes))
    assert set(load.outcomes) <= {"200", BROKEN}
    assert load.outcomes[BROKEN] <= kills * CLIENTS
    assert load.answered > kills * CLIENTS
    # what dead workers had answered still counts, and what they had in work no longer does
    done = counted['daco_requests_total{method="POST",route="/v1/query",status="200"}']
    assert load.answered <= done <= load.answered + load.outcomes[BROKEN]
    assert counted["daco_queries_in_work"] == 0


@pytest.mark.slow
def test_a_server_stopped_under_load_completes_every_answer(index: Path, photographs: Path) -> None:
    with served(index, "--workers", 2) as (address, process):
        load = Load(address, photographs)

        def stop() -> None:
            assert eventually(lambda: load.answered > 2 * CLIENTS)
            process.terminate()
            process.wait(60)

        load.during(stop)
    print(dict(load.outcomes))
    assert set(load.outcomes) <= {"200", BROKEN}
    # only connections that were made in the last moment before the port was closed
    assert load.outcomes[BROKEN] <= CLIENTS // 2
    assert process.returncode == 0
