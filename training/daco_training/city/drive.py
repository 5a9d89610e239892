"""A drive along a street of the city: a frame every few metres, from a camera that looks forward."""

import math
from dataclasses import dataclass

import numpy as np

from daco_training.city.plan import FIRST_SLOT, STREET_LENGTH, Pose, stream
from daco_training.city.rendering.photograph import develop_rendering
from daco_training.city.rendering.scene import render, render_depth

STEP = 4.0  # metres from one frame to the next
FRAMES = int((STREET_LENGTH - 2 * FIRST_SLOT) / STEP)  # in a street
LANE = -1.4  # metres to the left of the middle of the street, on average: traffic drives on the right
WANDER = 0.5  # metres to either side, with a wavelength of WAVE metres
WAVE = 60.0
YAW, PITCH, ROLL = 1.5, 0.8, 0.4  # degrees: standard deviations between frames
HEIGHT = 1.5  # metres


@dataclass(frozen=True)
class DriveFrame:
    """One frame of the drive along a street in a domain.

    Each domain has its own drive: its frames lie between those of the others, up to WANDER to the side. The picture is
    a pure function of the frame and the size in pixels.
    """

    seed: int
    street: int
    number: int
    domain: str

    @property
    def name(self) -> str:
        """The file name without its suffix; names sort in the order of the drive."""
        return f"street{self.street:02d}_frame{self.number:03d}"

    @property
    def pose(self) -> Pose:
        """The camera's pose in the street's own frame."""
        drive = self._stream("drive of a street", False)
        begin, phase = drive.uniform(0.0, STEP), drive.uniform(0.0, 2 * math.pi)
        rng = self._stream("frame of a drive")
        x = FIRST_SLOT + begin + STEP * self.number
        y = LANE + WANDER * math.sin(phase + 2 * math.pi * x / WAVE)
        yaw, pitch, roll = rng.normal(0.0, YAW), rng.normal(2.0, PITCH), rng.normal(0.0, ROLL)
        return Pose(x, y, HEIGHT, yaw, pitch, roll)

    def take(self, width: int, height: int) -> np.ndarray:
        """The picture, 8-bit sRGB (height, width, 3)."""
        sampler = self._stream("sampler of a drive")
        rendering = render(self.seed, self.street, self.domain, self.pose, width, height, sampler)
        return develop_rendering(rendering, self.domain, self._stream("camera of a drive"))

    def depth(self, width: int, height: int) -> np.ndarray:
        """Metres along the ray of each pixel (height, width); 0 where the pixel shows mostly sky."""
        return render_depth(self.seed, self.street, self.domain, self.pose, width, height)

    def _stream(self, purpose: str, of_frame: bool = True) -> np.random.Generator:
        key = (self.street, self.number) if of_frame else (self.street,)
        return stream(self.seed, f"{purpose} by {self.domain}", *key)


def street_drive(seed: int, street: int, domain: str) -> list[DriveFrame]:
    """The frames of a street, in order."""
    return [DriveFrame(seed, street, number, domain) for number in range(FRAMES)]
