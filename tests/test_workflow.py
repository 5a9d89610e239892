"""The CI workflow refers to existing files and targets, and to the supported Python versions."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORKFLOW = (ROOT / ".github/workflows/ci.yml").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_workflow_runs_every_supported_python_version() -> None:
    (matrix,) = re.findall(r"python: \[(.+)\]", WORKFLOW)
    named = {name.removeprefix("Programming Language :: Python :: ") for name in PROJECT["classifiers"]}
    assert set(re.findall(r'"([\d.]+)"', matrix)) == {name for name in named if re.fullmatch(r"3\.\d+", name)}


def test_the_skip_lists_and_make_targets_in_the_workflow_exist() -> None:
    (lists,) = re.findall(r"^  SKIPS: (.+)$", WORKFLOW, flags=re.MULTILINE)
    assert len(lists.split()) == 3
    for name in lists.split():
        assert (ROOT / name).is_file(), name
    makefile = (ROOT / "Makefile").read_text()
    for target in ("lint", "types", "test"):
        assert re.search(rf"run: .*\bmake\b.* {target}\b", WORKFLOW), target
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target
    for name in re.findall(r"expected_skips\w*\.txt", (ROOT / ".ci/run").read_text()):
        assert (ROOT / "tests" / name).is_file(), name
