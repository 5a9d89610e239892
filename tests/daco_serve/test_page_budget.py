"""The cost of the page: size of its code, no inline script, its content security policy, and the first paint."""

import re
from pathlib import Path

import httpx
import pytest

from daco_serve.http.middleware.headers import PAGE_POLICY

from .page_actions import Open

WEB = Path(__file__).parents[2] / "daco_serve" / "web"
MOST_BYTES = 250_000
LIBRARIES = ("/web/leaflet/", "/web/protomaps/")


def test_script_and_style_are_small_and_none_is_inline(server: str, open_page: Open) -> None:
    page = open_page(server)
    resources = page.evaluate(
        "performance.getEntriesByType('resource').map(({ name, decodedBodySize }) => [name, decodedBodySize])"
    )
    own = {
        name: size
        for name, size in resources
        if re.search(r"\.(js|css)$", name) and not any(part in name for part in LIBRARIES)
    }
    assert f"{server}/web/app.js" in own and f"{server}/web/style.css" in own
    assert 0 < sum(own.values()) <= MOST_BYTES
    assert sum(file.stat().st_size for file in (*WEB.glob("*.js"), *WEB.glob("*.css"))) <= MOST_BYTES
    answer = httpx.get(server)
    assert answer.headers["content-security-policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY and "script-src 'self';" in PAGE_POLICY
    for script in re.findall(r"<script\b([^>]*)>(.*?)</script>", answer.text, flags=re.DOTALL):
        assert "src=" in script[0] and script[1] == ""
    assert not re.search(r"<style|\son\w+=|\sstyle=|javascript:", answer.text)


def test_the_browser_times_the_first_paint(server: str, open_page: Open, capsys: pytest.CaptureFixture[str]) -> None:
    page = open_page(server)
    page.wait_for_function("() => performance.getEntriesByName('first-contentful-paint').length > 0")
    milliseconds = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    with capsys.disabled():
        print(f"\nfirst contentful paint of the page after {milliseconds:.0f} ms")
    assert milliseconds > 0
