"""CITATION.cff and CHANGELOG.md have machine-readable formats, and agree with the package."""

import re
import tomllib
from datetime import date
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
# what version 1.2.0 of the format requires
REQUIRED = {"cff-version", "message", "title", "authors"}
REQUIRED_OF_A_REFERENCE = {"type", "title", "authors"}
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_citation_file_is_valid_and_names_this_version() -> None:
    assert set(CITATION) >= REQUIRED
    assert CITATION["cff-version"] == "1.2.0"
    assert CITATION["type"] == "software"
    assert (CITATION["title"], CITATION["version"]) == (PROJECT["name"], PROJECT["version"])
    assert CITATION["license"] == PROJECT["license"]
    for author in CITATION["authors"]:
        assert set(author) & {"name", "family-names"}


def test_the_citation_names_the_paper_of_the_method() -> None:
    (paper,) = CITATION["references"]
    assert set(paper) >= REQUIRED_OF_A_REFERENCE
    assert paper["title"].startswith("DaCo: domain-agnostic contrastive learning")
    assert re.fullmatch(r"10\.\d{4,9}/\S+", paper["doi"])
    assert isinstance(paper["year"], int)


def test_the_changelog_has_a_section_for_every_version_and_uses_the_standard_headings() -> None:
    versions = re.findall(r"^## \[([^\]]+)\](?: - (\S+))?$", CHANGELOG, flags=re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    for _, day in versions[1:]:
        date.fromisoformat(day)
    assert set(re.findall(r"^### (.+)$", CHANGELOG, flags=re.MULTILINE)) <= KINDS
