"""A build keeps its descriptors in memory once; they are written to a memory-mapped file."""

import subprocess
import sys
from pathlib import Path

import pytest

VECTORS, DIMENSION = 5_000, 4096  # 82 MB
BUILD = f"""
import sys, threading, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from daco_index.embedding.embed import EmbeddedSoFar
from daco_index.embedding.embedding_cache import EmbeddingCache, Photograph
from daco_index.generations.descriptors import Descriptors
from daco_index.generations.specification import GenerationSpec, Provenance, Target
from daco_index.search.arrangement import arrange_search
from daco_index.search.index_choice import SearchOptions

n, d = {VECTORS}, {DIMENSION}

def anonymous():
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) * 1024

def watch():
    global most
    while True:
        most = max(most, anonymous())
        time.sleep(0.002)

before = most = anonymous()
threading.Thread(target=watch, daemon=True).start()
so_far = EmbeddedSoFar(n, d, EmbeddingCache(Path(sys.argv[1]), "f", d))
row = np.zeros((1, d), dtype=np.float32)
row[0, 0] = 1
for start in range(0, n, 500):
    for number in range(start, start + 500):
        so_far.photographs[number] = Photograph(1, 1, f"{{number:064x}}")
    so_far.take(range(start, start + 500), np.repeat(row, 500, axis=0))
files = so_far.done()
descriptors = Descriptors(d)
descriptors.make(np.arange(n), files.vectors, rows=files.rows)
entries = [SimpleNamespace(id=number) for number in range(n)]
spec = GenerationSpec(Provenance("a", "build", ()), None, entries, descriptors, 0)
arrangement = arrange_search(spec, Target(None, None, SearchOptions(factory="Flat")), "faiss", progress=False)
arrangement.store.save(Path(sys.argv[1]) / "vectors.faiss")
time.sleep(0.01)
assert arrangement.store.count == n
print((most - before) / (4 * n * d))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc says what is in memory")
def test_the_vectors_of_a_build_are_in_memory_once(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", BUILD, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0.9 < float(done.stdout) < 2.3, "times the size of the vectors, some of which are on their way at any time"
