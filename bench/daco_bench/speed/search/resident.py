"""The memory of one engine, in a separate process: python -m ... ENGINE FOLDER QUERIES.npy; prints JSON, in MiB."""

import json
import sys
from pathlib import Path

import numpy as np

from daco_bench.speed.search.engines import OPENED_BY

STATUS = Path("/proc/self/status")  # Linux; elsewhere nothing is reported


def resident() -> dict[str, float]:
    """MiB of this process: its own, and of mapped files, which the kernel may drop at any time."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines()) if STATUS.exists() else {}
    named = {"own": "RssAnon", "mapped": "RssFile"}
    return {name: int(lines[field].split()[0]) / 1024 for name, field in named.items() if field in lines}


def main(engine: str, folder: str, queries_file: str, setting: str) -> None:
    queries = np.load(queries_file)
    before = resident()
    searcher = OPENED_BY[engine](Path(folder))
    searcher.tune(json.loads(setting))
    for row in range(len(queries)):
        searcher.ask(queries[row : row + 1], 10)
    print(json.dumps({name: round(value - before[name], 1) for name, value in resident().items()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
