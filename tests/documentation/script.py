"""Joins the code blocks of a page to a shell script for the tests: at a smaller scale, and on its own port."""

import re
from collections.abc import Sequence

from .pages import Block

# what takes too long as it is written, and the same in little
LITTLE = "--iters 2 --batch_size 4 --image_size 64 --workers 0"
SMALLER = {
    "--save_root result": f"--save_root result {LITTLE}",
    "--save_root tail": f"--save_root tail {LITTLE}",
    "--split val": "--split all",
}
SERVER = ("127.0.0.1:8000", "HOST:8000")
MILVUS = "milvus.example:19530"
# what another test runs, and the workshop has the outcome of
ELSEWHERE = {"daco-data demo": "tests/test_chain.py"}
ASKS = re.compile(r"^(curl|python|daco-serve query) ", re.MULTILINE)

# `daco-serve run` goes to the background and takes the place of the server before, so that the next lines can ask it,
# `daco-serve query` too; an HTTP error of curl's is an error
PRELUDE = """
set -euo pipefail
export XDG_CONFIG_HOME="$PWD/.config"
trap 'for job in $(jobs -p); do kill "$job"; wait "$job" || true; done' EXIT
daco-serve() {
  local -; set +x
  if [ "${1-}" = query ] && [[ "$*" != *--url* ]]; then set -- "$@" --url "http://127.0.0.1:$PORT"; fi
  if [ "${1-}" != run ] || [ "${2-}" = --help ]; then command daco-serve "$@"; return; fi
  for job in $(jobs -p); do kill "$job"; wait "$job" || true; done
  : > .served
  command daco-serve "$@" --port "$PORT" --device cpu > .served & server=$!
  until grep -q '^Serving' .served; do kill -0 "$server"; sleep 0.05; done
}
curl() { local -; set +x; command curl --fail-with-body --silent --show-error "$@"; }
"""


def runs(block: Block) -> bool:
    """Whether the tests run a block, at least where they can have a Milvus server."""
    return not block.needs - {"milvus"} and not block.tried_by


def script_of(blocks: Sequence[Block], port: int, milvus: str = "") -> str:
    """Blocks one after the other; where one asks a server, a server is there.

    Args:
        port: of that server.
        milvus: host and port of a Milvus server, if a block needs one.
    """
    there = SMALLER | dict.fromkeys(SERVER, f"127.0.0.1:{port}") | {MILVUS: milvus}
    script = "\n".join(f": {block}\n{_cut(block, there)}" for block in blocks)
    start = "daco-serve run --index maps/day\n" if ASKS.search(script) else ""
    return f"PORT={port}\n{start}{script}"


def _cut(block: Block, replaced: dict[str, str]) -> str:
    lines = [line for line in block.text.splitlines() if not line.startswith(tuple(ELSEWHERE))]
    text = "\n".join(lines)
    for written, instead in replaced.items():
        text = text.replace(written, instead)
    return f"python - <<'END'\n{text}\nEND" if block.language == "python" else text
