"""Corrections of a camera's clock, as people write them: `90`, `-2h`, `1h30m`, `+00:00:12.5`."""

import math
import re
from datetime import UTC, datetime

from daco_core.errors import UsageError

UNITS = re.compile(
    r"(?:(?P<hours>\d+(?:\.\d+)?)h)?(?:(?P<minutes>\d+(?:\.\d+)?)m(?:in)?)?(?:(?P<seconds>\d+(?:\.\d+)?)s?)?"
)
HALF_HOUR = 1800.0  # time zones differ by multiples of it, with few exceptions
MOST_HALF_HOURS = 28
CLOCK = re.compile(r"(?P<hours>\d+):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2}(?:\.\d+)?))?")


def parse_offset(text: str) -> float:
    """Parses an offset to seconds, with sign.

    Raises:
        UsageError: it is not a duration.
    """
    word = text.strip().lower().replace(" ", "").replace("\N{MINUS SIGN}", "-")
    sign, word = (-1.0, word[1:]) if word.startswith("-") else (1.0, word.removeprefix("+"))
    found = CLOCK.fullmatch(word) or UNITS.fullmatch(word)
    if not word or found is None:
        raise UsageError(f"{text!r} is not a time offset: give seconds, or hours and minutes such as -2h or 1h30m.")
    parts = (float(found[name] or 0) for name in ("hours", "minutes", "seconds"))
    return sign * sum(part * unit for part, unit in zip(parts, (3600, 60, 1), strict=True))


def format_offset(seconds: float) -> str:
    """The inverse of `parse_offset`: `-2h`, `+5h30m`, `+12.5s`."""
    hours, rest = divmod(abs(seconds), 3600)
    minutes, rest = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (rest, "s"))
    return ("-" if seconds < 0 else "+") + ("".join(f"{part:g}{unit}" for part, unit in parts if part) or "0s")


def time_zone_shifts() -> list[float]:
    """The seconds by which a clock of another time zone can be off: whole half hours, ascending."""
    return [half * HALF_HOUR for half in range(-MOST_HALF_HOURS, MOST_HALF_HOURS + 1)]


def utc_text(time: float) -> str:
    """A time in seconds since 1970 as people read it: `2026-05-01 10:00:00`, UTC."""
    return datetime.fromtimestamp(math.floor(time), UTC).strftime("%Y-%m-%d %H:%M:%S")
