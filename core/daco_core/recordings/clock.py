"""The time at which a video began, on the clock of its track."""

from datetime import UTC, datetime
from pathlib import Path

from daco_core.errors import UsageError
from daco_core.photographs.tracks import Track, format_offset, time_zone_shifts, utc_text

TRACK_START = "track"


def beginning(video: Path, created: datetime | None, start: str | None, track: Track) -> float:
    """The time at which a video began: seconds since 1970, UTC.

    Args:
        created: the creation time in the video's file.
        start: the user's choice: a time in ISO 8601 (UTC if it has no time zone), `track` for the beginning of the
            track, or None for `created`.

    Raises:
        UsageError: `start` is not a time, or both are missing.
    """
    if start == TRACK_START:
        return track.start
    if start is not None:
        try:
            time = datetime.fromisoformat(start)
        except ValueError as error:
            raise UsageError(
                f"{start!r} is not a time: give one such as 2026-05-01T10:00:00Z, or {TRACK_START} if the video"
                " begins with its track."
            ) from error
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    if created is None:
        raise UsageError(
            f"{video} does not contain its time of recording: give --start with the time of its first frame, such as"
            f" 2026-05-01T10:00:00Z, or --start {TRACK_START} if it begins with its track."
        )
    return created.timestamp()


def check_overlap(video: Path, start: float, duration: float | None, file: Path, track: Track) -> None:
    """Checks that a video and its track overlap in time.

    Args:
        start: of the video, seconds since 1970.
        duration: of the video in seconds; None if unknown, so that only the start can be compared.

    Raises:
        UsageError: they do not; the message gives both times, and an offset in half hours if one would help.
    """
    end = start + (duration or 0.0)
    if start <= track.end and (duration is None or end >= track.start):
        return
    fitting = [shift for shift in time_zone_shifts() if start + shift >= track.start and end + shift <= track.end]
    advice = "correct the camera's clock with --offset, or give --start"
    if fitting:
        best = min(fitting, key=abs)
        advice = f"if the camera's clock shows another time zone, give --offset {format_offset(best)}"
    raise UsageError(
        f"{video} and {file} do not overlap in time: the video is from {utc_text(start)} to {utc_text(end)}, the track"
        f" from {utc_text(track.start)} to {utc_text(track.end)} (UTC): {advice}."
    )
