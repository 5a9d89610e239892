"""No two classes of the packages share a name, so that one name means one thing."""

import ast
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
# the names of the HTTP answers are published in the API's document, and the Python API's encoder is the one of training
SHARED = {"Encoder"}


def test_no_two_classes_share_a_name() -> None:
    homes: dict[str, list[str]] = defaultdict(list)
    for folder in ("core", "training", "index", "daco_serve", "bench"):
        for file in (ROOT / folder).rglob("*.py"):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    homes[node.name].append(file.relative_to(ROOT).as_posix())
    twice = {name: files for name, files in homes.items() if len(files) > 1 and name not in SHARED}
    assert not twice
