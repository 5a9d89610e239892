"""Untrusted names are displayed unchanged, but cannot control a terminal or a spreadsheet."""

import sys

import pytest

from daco_core.console import new_app, run
from daco_core.errors import DacoError
from daco_core.untrusted_text import csv_cell, from_csv_cell, is_unicode, printable


@pytest.mark.parametrize("text", ["harbour/12", "日本 été ✓ 🏠", "a b", ""])
def test_printable_text_is_unchanged(text):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b]0;title\x07", r"\x1b[31mred\x1b]0;title\x07"),
        ("a\nb\rc", r"a\nb\rc"),
        ("\x9b2J", r"\x9b2J"),
        ("gpj.\u202etac", r"gpj.\u202etac"),
        ("a\udc80", r"a\udc80"),
        ("a\u2028b", r"a\u2028b"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_escape_codes_in_a_file_name_are_escaped_in_errors(monkeypatch):
    app = new_app("An app.")

    @app.command()
    def fail() -> None:
        raise DacoError("\x1b]0;gotcha\x07.jpg cannot be read")

    monkeypatch.setattr(sys, "argv", ["app"])
    with pytest.raises(SystemExit) as ended:
        run(app)
    assert ended.value.code == r"Error: \x1b]0;gotcha\x07.jpg cannot be read"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''", "'", "plain", "a=b", ""])
def test_csv_cells_are_never_formulas_and_are_read_back_unchanged(text):
    cell = csv_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_csv_cell(cell) == text


def test_an_unpaired_surrogate_is_detected():
    assert is_unicode("🏠")
    assert not is_unicode("\ud83c")
