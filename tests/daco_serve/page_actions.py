"""Actions of the page's tests in the browser; the fixtures are in conftest.py."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(__file__).parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
OFFLINE = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]

Open = Callable[..., Any]
Host = Callable[..., str]


def choose(page: Any, *files: Path) -> None:
    page.set_input_files("#file", [str(file) for file in files])


def ready(page: Any, count: int = 1) -> None:
    page.wait_for_selector(f"#film li:nth-child({count}) [data-state=done]")


def loaded(page: Any, selector: str) -> bool:
    page.wait_for_function("selector => document.querySelector(selector).naturalWidth > 0", arg=selector)
    return True


def faults(page: Any) -> list[str]:
    """What axe finds on the page as it is now; the page must have been opened with `bypass_csp`."""
    if not AXE.is_file():
        pytest.skip(f"axe-core is not installed: npm install --prefix {AXE.parents[2]}")
    if not page.evaluate("Boolean(globalThis.axe)"):
        page.add_script_tag(path=str(AXE))
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] }).then(result => result.violations)")
    return [f"{fault['id']}: {fault['nodes'][0]['html']}" for fault in found]
