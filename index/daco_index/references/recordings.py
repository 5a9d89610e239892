"""Recordings as sources: their frames are extracted to the index's folder, which then is the source."""

import sys
from pathlib import Path

from daco_core.errors import UsageError
from daco_core.recordings.extraction import Extraction
from daco_core.recordings.recording import RecordingOptions, extract_recording, is_recording
from daco_index.generations.folders import PHOTOGRAPHS, check_folder
from daco_index.references.object_stores import is_remote


def photographs_of(source: str, index: Path, options: RecordingOptions, progress: bool) -> Extraction | None:
    """Extracts photographs to `INDEX/photographs` if the source is a recording; None for any other source.

    Raises:
        UsageError: the options are for recordings, and the source is none; a track is allowed for photographs, too.
        DacoError: the recording cannot be read, or `index` contains other files than an index.
    """
    if is_remote(source) or not is_recording(Path(source)):
        by_time = RecordingOptions(track=options.track, offset=options.offset, camera_yaw=options.camera_yaw)
        if options != (RecordingOptions() if options.track is None else by_time):
            raise UsageError(
                f"{source} is not a recording: omit --every, --start, --image-topic and --position-topic; and also"
                " --offset and --camera-yaw if there is no --track."
            )
        return None
    check_folder(index)
    extraction = extract_recording(Path(source), index / PHOTOGRAPHS, options, own_folder=True, progress=progress)
    if progress:
        print(extraction, file=sys.stderr)
    return extraction
