"""docs/reference/http.md lists everything in the OpenAPI document."""

import re

import pytest

from daco_serve.http.app import create_app
from daco_serve.http.refusals import REFUSALS
from daco_serve.operation.settings import ServeSettings

from .pages import ROOT

PAGE = (ROOT / "docs/reference/http.md").read_text()
DOCUMENT = create_app(ServeSettings(index=("none",))).openapi()


@pytest.mark.parametrize("path", DOCUMENT["paths"])
def test_every_address_is_on_the_page(path: str) -> None:
    assert f"{path}`" in PAGE


@pytest.mark.parametrize(
    "name",
    {
        parameter["name"]
        for methods in DOCUMENT["paths"].values()
        for method in methods.values()
        for parameter in method.get("parameters", [])
    },
)
def test_every_parameter_is_on_the_page(name: str) -> None:
    assert re.search(rf"`{name}`|\{{{name}\}}|\?{name}=", PAGE)


@pytest.mark.parametrize(
    "schema", ["QueryAnswer", "Location", "Match", "IndexAnswer", "ReferenceAnswer", "CoverageAnswer"]
)
def test_every_field_of_an_answer_is_on_the_page(schema: str) -> None:
    for field in DOCUMENT["components"]["schemas"][schema]["properties"]:
        assert re.search(rf"[`\"]{field}[`\"]", PAGE), field


def test_the_table_of_errors_matches_the_server() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, flags=re.MULTILINE)
    assert {code: int(status) for status, code in rows} == {code: status for code, (status, _) in REFUSALS.items()}
