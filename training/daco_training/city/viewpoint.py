"""Other camera poses of a place: moved along its street by some metres and rotated by some degrees."""

import math
from dataclasses import dataclass

from daco_core.errors import UsageError
from daco_training.city.plan import MAX_PITCH, MAX_ROLL, MAX_SHIFT, CityPlace, Pose, nominal_pose, stream

MAX_METRES = 25.0  # so that a camera stays within its street
MAX_DEGREES = 90.0
LANE = 1.5  # metres from the middle of the street to a moved camera, on either side: clear of parked cars
FACADES = 8.0  # approximate metres from the middle of the street to what a camera looks at
KEPT = 22.0  # degrees off the middle of the picture at which the place is still well within it


@dataclass(frozen=True)
class Viewpoint:
    """The distance of a camera from the nominal pose of its place: metres along the ground, degrees of heading."""

    metres: float
    degrees: float

    def __post_init__(self) -> None:
        if not (0 <= self.metres <= MAX_METRES and 0 <= self.degrees <= MAX_DEGREES):
            raise UsageError(
                f"A viewpoint is at most {MAX_METRES:g} metres and {MAX_DEGREES:g} degrees away; got {self.name}."
            )

    @classmethod
    def parse(cls, text: str) -> "Viewpoint":
        """Parses "METRES,DEGREES", such as "5,30".

        Raises:
            UsageError: the text is not two numbers, or they are out of range.
        """
        try:
            metres, degrees = (float(part) for part in text.split(","))
        except ValueError as error:
            raise UsageError(f"A viewpoint must be METRES,DEGREES, such as 5,30; got {text!r}.") from error
        return cls(metres, degrees)

    @property
    def name(self) -> str:
        """The name of its folder, such as `5m_30deg`."""
        return f"{self.metres:g}m_{self.degrees:g}deg"


def viewpoint_pose(seed: int, place: CityPlace, viewpoint: Viewpoint) -> Pose:
    """The pose of a place's photograph at a viewpoint; the same in all domains.

    The camera is exactly `metres` from the nominal pose, along the street, and is rotated by exactly `degrees` towards
    what the place shows. Of the two directions along the street (or, with 0 metres, of rotation), one is drawn at
    random if both keep that within the picture; otherwise it is the better one.
    """
    nominal = nominal_pose(seed, place)
    rng = stream(seed, f"viewpoint {viewpoint.name}", place.street, place.slot)
    widest = 0.7 * viewpoint.metres
    lane = min(max(rng.uniform(-LANE, LANE), nominal.y - widest), nominal.y + widest)
    along = math.sqrt(viewpoint.metres**2 - (lane - nominal.y) ** 2)
    facade = math.copysign(FACADES, math.sin(math.radians(nominal.yaw)))
    ahead = nominal.x + (facade - nominal.y) / math.tan(math.radians(nominal.yaw))  # the point of the facades in view
    ways = []
    for way in (-1, 1):
        x = nominal.x + way * along
        facing = math.degrees(math.atan2(facade - lane, ahead - x))
        off = (facing - nominal.yaw + 180.0) % 360.0 - 180.0  # the rotation that would keep it in the middle
        turn = math.copysign(viewpoint.degrees, off if viewpoint.metres else way)
        ways.append((abs(off - turn), x, nominal.yaw + turn))
    best = min(off for off, *_ in ways)
    good = [pose for off, *pose in ways if off <= max(KEPT, best + 1e-6)]
    x, yaw = good[int(rng.integers(len(good)))]
    return Pose(
        x,
        lane,
        nominal.z + rng.uniform(-0.1, 0.1) * MAX_SHIFT,
        yaw,
        nominal.pitch + rng.uniform(-MAX_PITCH, MAX_PITCH),
        nominal.roll + rng.uniform(-MAX_ROLL, MAX_ROLL),
    )
