"""Videos and tracks for tests, written with PyAV and gpxpy."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
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


def write_gpx(path: Path, seconds: int, start: str = "2026-05-01T10:00:00+00:00", metres_a_second: float = 5.0) -> Path:
    """A way to the east from 50 N, 10 E with a position each second."""
    from gpxpy.gpx import GPX, GPXTrack, GPXTrackPoint, GPXTrackSegment

    from daco_core.photographs.plane import degrees_from

    points = [
        GPXTrackPoint(
            *degrees_from((50.0, 10.0), metres_a_second * second, 0.0),
            elevation=100.0 + second,
            time=datetime.fromisoformat(start) + timedelta(seconds=second),
        )
        for second in range(seconds + 1)
    ]
    document = GPX()
    document.tracks.append(GPXTrack())
    document.tracks[0].segments.append(GPXTrackSegment(points))
    path.write_text(document.to_xml())
    return path


def street(count: int, size: tuple[int, int] = (160, 120)) -> list[Image.Image]:
    """Frames of a camera that moves past a wall of coloured blocks, no two of them alike."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 255, (12, 8 * count + 16, 3), dtype=np.uint8)
    wall = Image.fromarray(blocks).resize((blocks.shape[1] * 10, 120), Image.Resampling.NEAREST)
    return [wall.crop((number * 80, 0, number * 80 + size[0], size[1])) for number in range(count)]


def sphere_metadata(**fields: str) -> bytes:
    """XMP that makes a picture a panorama: Google's Photo Sphere fields, as cameras write them."""
    attributes = " ".join(f'GPano:{name}="{value}"' for name, value in fields.items())
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/"'
        f' GPano:ProjectionType="equirectangular" {attributes}/></rdf:RDF></x:xmpmeta>'
    ).encode()
