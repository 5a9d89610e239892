"""The generated reference pages are up to date."""

import pytest

from daco_serve.operation.settings import ServeSettings

from .pages import ROOT
from .reference_pages import made_pages

MADE = {path.name: path for path in made_pages()}


@pytest.mark.parametrize("name", MADE)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert MADE[name].read_text() == made_pages()[MADE[name]], "run python -m tests.documentation.reference_pages"


def test_every_setting_has_its_row() -> None:
    page = (ROOT / "docs/reference/settings.md").read_text()
    for name in ServeSettings.model_fields:
        assert page.count(f"| `DACO_{name.upper()}` |") == 1


def test_every_command_has_its_section() -> None:
    page = (ROOT / "docs/reference/command-line.md").read_text()
    for heading in ("daco-train", "daco-index build SOURCE", "daco-serve run", "daco-bench recall [NAME]"):
        assert f"# {heading}\n" in page
    assert "| `--host` |" in page
