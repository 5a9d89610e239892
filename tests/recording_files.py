"""Videos for tests, written with PyAV."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image


def write_video(
    path: Path, frames: Sequence[Image.Image], rate: int = 10, created: str | None = "2026-05-01T10:00:00Z"
) -> Path:
    """A video of these frames, all of one size; `created` is when its recording began."""
    import av

    with av.open(str(path), "w") as container:
        if created is not None:
            container.metadata["creation_time"] = created
        stream = container.add_stream("mpeg4", rate=rate)
        stream.width, stream.height = frames[0].size
        stream.pix_fmt = "yuv420p"
        stream.bit_rate = 4_000_000
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))
        container.mux(stream.encode())
    return path
