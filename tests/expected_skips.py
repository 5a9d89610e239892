"""Fails a run in which a test is skipped for a reason that is not on a list, so that missing tools are noticed.

`pytest --expected-skips tests/expected_skips.txt` is how CI runs. A line of such a list is part of a reason; lines that
begin with # say why it is there.
"""

from collections.abc import Iterable
from pathlib import Path

import pytest


def add_option(parser: pytest.Parser) -> None:
    parser.addoption(
        "--expected-skips",
        action="append",
        default=[],
        metavar="FILE",
        help="a list of reasons; a skip for any other one fails the run (may be repeated)",
    )


def register(config: pytest.Config) -> None:
    """Watches the run where lists are given."""
    files = config.getoption("--expected-skips")
    if files:
        config.pluginmanager.register(ExpectedSkips(read_lists(map(Path, files))))


def read_lists(files: Iterable[Path]) -> list[str]:
    lines = [line.strip() for file in files for line in file.read_text().splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


class ExpectedSkips:
    """Collects the skips of a run whose reason has none of these parts."""

    def __init__(self, expected: list[str]) -> None:
        self._expected = expected
        self._unexpected: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if not hasattr(report, "wasxfail"):
            self._look_at(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._look_at(report)

    def _look_at(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped:
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not any(part in reason for part in self._expected):
            self._unexpected.append(f"{report.nodeid}: {reason}")

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self._unexpected and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self._unexpected:
            terminalreporter.section("skips that are not expected", red=True)
            for line in self._unexpected:
                terminalreporter.line(line)
