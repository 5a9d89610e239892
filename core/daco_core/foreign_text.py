"""Text that others wrote, such as file names and places, made safe for a terminal and for a spreadsheet."""

import unicodedata

FORMULA_STARTS = tuple("=+-@\t\r'")  # that make a spreadsheet take a cell for a formula; and the mark against it
# controls, characters that turn the direction of text or are invisible, and halves of characters
UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str) -> str:
    """The text with `\\x1b` and the like in place of what a terminal would obey or could not show."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape", errors="backslashreplace").decode()
        if unicodedata.category(character) in UNPRINTABLE
        else character
        for character in text
    )


def csv_cell(text: str) -> str:
    """The text as a cell of a CSV file that no spreadsheet takes for a formula; `from_csv_cell` gives it back."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def from_csv_cell(text: str) -> str:
    """What `csv_cell` was given; text that it did not write stays as it is, but for one leading `'` before a sign."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_STARTS) else text


def is_unicode(text: str) -> bool:
    """Whether a text has no half of a character, so that it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
