"""A contact sheet of a ride: some frames, and the answers of a single frame and of the filter."""

import numpy as np
from PIL import Image

from daco_bench.figures.framed import RIGHT, WRONG, FramedPhotograph, framed_sheet
from daco_bench.sequence.ride import WINDOW, Ride
from daco_core.errors import UsageError

TITLES = ("frame", "one frame alone", "filter")


def ride_sheet(ride: Ride, count: int = 4, cell: int = 256) -> Image.Image:
    """Frames that a single frame places wrongly, evenly spread over the ride, with framed answers.

    Raises:
        UsageError: single frames place all of them correctly.
    """
    every = np.arange(len(ride.similarity))
    single, (filtered, _) = ride.single(), ride.filtered(every)
    settled = np.concatenate([part[WINDOW:] for part in ride.parts(every)])
    wrong = [frame for frame in settled.tolist() if not ride.right[frame, single[frame]] and filtered[frame] >= 0]
    if not wrong:
        raise UsageError("Single frames place all frames correctly: there is nothing to draw.")
    shown = [wrong[place] for place in np.unique(np.linspace(0, len(wrong) - 1, count).astype(int))]

    def cell_of(frame: int, row: int) -> FramedPhotograph:
        return FramedPhotograph(ride.reference_files[row], RIGHT if ride.right[frame, row] else WRONG)

    rows = [
        [FramedPhotograph(ride.frame_files[frame]), cell_of(frame, single[frame]), cell_of(frame, filtered[frame])]
        for frame in shown
    ]
    return framed_sheet(rows, TITLES, cell)
