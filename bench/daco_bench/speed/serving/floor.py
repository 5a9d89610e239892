"""The bare loop, an upper limit for every server: photographs decoded, embedded and searched without HTTP.

Run as a program, `python -m daco_bench.speed.serving.floor INDEX CORES PHOTOGRAPH...`, it reads lines of
`LOOPS SECONDS` and prints a line of JSON for each.
"""

import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

from daco_bench.speed.serving.timings import ClientTimings
from daco_index.embedding.engines.query_engine import query_engine
from daco_index.search.bundle import Bundle
from daco_serve.engine.decoding import decode
from daco_serve.engine.localize import MATCHES

MOST_PIXELS = 178_000_000


class Floor:
    """The bare loop over an index.

    Args:
        loops: number of parallel loops, which share the cores.
    """

    def __init__(self, bundle: Bundle, photographs: list[bytes], loops: int, cores: int) -> None:
        self._bundle = bundle
        self._photographs = photographs
        self._loops = loops
        self._engine = query_engine(bundle, threads=max(1, cores // loops))
        for photograph in photographs:
            self._look_up(photograph)

    def run(self, seconds: float) -> ClientTimings:
        """Runs through all photographs repeatedly for `seconds`."""
        latencies: list[float] = []
        end = time.perf_counter() + seconds

        def loop(turn: int) -> None:
            while (start := time.perf_counter()) < end:
                self._look_up(self._photographs[turn % len(self._photographs)])
                latencies.append(time.perf_counter() - start)
                turn += 1

        threads = [threading.Thread(target=loop, args=(number * 5,)) for number in range(self._loops)]
        began, cpu = time.perf_counter(), time.process_time()
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        timings = ClientTimings.of(latencies, time.perf_counter() - began)
        return replace(timings, cpu_ms=round(1000 * (time.process_time() - cpu) / len(latencies), 1))

    def _look_up(self, photograph: bytes) -> None:
        form = self._bundle.encoder.config
        image = decode(photograph, MOST_PIXELS, form.image_size, form.resize == "square")
        self._bundle.search(self._engine.embed_prepared([self._engine.prepare(image)]), MATCHES)


def main() -> None:
    index, cores, *photographs = sys.argv[1:]
    contents = [Path(photograph).read_bytes() for photograph in photographs]
    bundle = Bundle.open(Path(index))
    floors: dict[int, Floor] = {}
    for line in sys.stdin:
        loops, seconds = line.split()
        if int(loops) not in floors:
            floors[int(loops)] = Floor(bundle, contents, int(loops), int(cores))
        print(json.dumps(floors[int(loops)].run(float(seconds)).as_dict()), flush=True)


if __name__ == "__main__":
    main()
