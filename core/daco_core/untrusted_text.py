"""Text from untrusted sources, such as file names and places, made safe for terminals and spreadsheets."""

import unicodedata

FORMULA_STARTS = tuple("=+-@\t\r'")  # a spreadsheet takes a cell that starts so for a formula; ' is the escape sign
# Unicode categories: controls, characters that are invisible or change the direction of text, and lone surrogates
UNPRINTABLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def printable(text: str) -> str:
    """The text with escapes such as `\\x1b` in place of characters that a terminal would obey or cannot show."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape", errors="backslashreplace").decode()
        if unicodedata.category(character) in UNPRINTABLE
        else character
        for character in text
    )


def csv_cell(text: str) -> str:
    """The text as a CSV cell that no spreadsheet takes for a formula; `from_csv_cell` reverses this."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def from_csv_cell(text: str) -> str:
    """Reverses `csv_cell`. Other text is unchanged, except that a `'` before one of the signs is removed."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA_STARTS) else text


def is_unicode(text: str) -> bool:
    """Whether a text has no lone surrogates, so that it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
