"""CI fails if a test is skipped for a reason that is not listed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
CONFTEST = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
import expected_skips
pytest_addoption = expected_skips.add_option
pytest_configure = expected_skips.register
"""
SKIPPED = """
import pytest
def test_without_a_browser(): pytest.skip("Chromium is not installed (apt-get install chromium)")
def test_that_runs(): pass
@pytest.mark.xfail
def test_that_fails_as_expected(): assert False
"""
LEFT_OUT = "import pytest\npytest.skip('the extra ray is not installed', allow_module_level=True)\n"


def outcome(folder: Path, test: str, *lists: str) -> "subprocess.CompletedProcess[str]":
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "test_it.py").write_text(test)
    words = []
    for number, text in enumerate(lists):
        (folder / f"{number}.txt").write_text(text)
        words += ["--expected-skips", str(folder / f"{number}.txt")]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(folder), str(folder)]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run([*command, *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_skip_that_is_not_on_a_list_fails_the_run(tmp_path: Path) -> None:
    done = outcome(tmp_path, SKIPPED, "# a comment: Chromium\nNode.js is not installed\n")
    assert done.returncode == 1
    assert "test_without_a_browser: Skipped: Chromium is not installed" in done.stdout


def test_a_test_file_that_is_skipped_completely_fails_the_run(tmp_path: Path) -> None:
    done = outcome(tmp_path, LEFT_OUT, "Chromium\n")
    assert done.returncode == 1 and "the extra ray is not installed" in done.stdout


def test_skips_on_a_list_pass_and_without_lists_all_skips_pass(tmp_path: Path) -> None:
    assert outcome(tmp_path, SKIPPED, "Node.js\n", "Chromium is not installed\n").returncode == 0
    assert outcome(tmp_path, SKIPPED).returncode == 0


@pytest.mark.parametrize("name", sorted(path.name for path in TESTS.glob("expected_skips*.txt")))
def test_every_reason_on_the_lists_is_given_by_a_test(name: str) -> None:
    sources = "\n".join(path.read_text() for path in TESTS.rglob("*.py") if path.name != Path(__file__).name)
    for line in (TESTS / name).read_text().splitlines():
        if line and not line.startswith("#"):
            assert line in sources, line
