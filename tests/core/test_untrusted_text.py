"""Untrusted names are displayed unchanged, but cannot control a terminal or a spreadsheet."""

import sys

import pytest

from daco_core.console import new_app, run
from daco_core.errors import DacoError
from daco_core.untrusted_text import csv_cell, from_csv_cell, is_unicode, printable


@pytest.mark.parametrize("text", ["harbour/12", "日本 été ✓ 🏠", "a b", ""])
def test_what_can_be_shown_stays(text):
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
def test_what_a_terminal_would_obey_is_spelt_out(text, shown):
    assert printable(text) == shown
    assert printable(text).isprintable()


def test_an_error_that_names_a_file_with_escape_codes_is_spelt_out(monkeypatch):
    app = new_app("An app.")

    @app.command()
    def fail() -> None:
        raise DacoError("\x1b]0;gotcha\x07.jpg cannot be read")

    monkeypatch.setattr(sys, "argv", ["app"])
    with pytest.raises(SystemExit) as ended:
        run(app)
    assert ended.value.code == r"Error: \x1b]0;gotcha\x07.jpg cannot be read"


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "'=1", "''", "'", "plain", "a=b", ""])
def test_no_cell_is_a_formula_and_each_is_read_back_as_it_was(text):
    cell = csv_cell(text)
    assert not cell.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert from_csv_cell(cell) == text


def test_half_a_character_is_noticed():
    assert is_unicode("🏠")
    assert not is_unicode("\ud83c")
