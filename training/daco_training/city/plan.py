"""The plan of the demo city: its places, their positions on the earth, and the camera's pose for each photograph."""

import itertools
import math
import zlib
from dataclasses import dataclass

import numpy as np

from daco_core.photographs.locations import EARTH_RADIUS_METRES

# Map coordinates are borrowed from a small town (Rothenburg ob der Tauber); the streets themselves are invented.
ORIGIN_LATITUDE = 49.3777
ORIGIN_LONGITUDE = 10.1790

SLOTS = 12  # places in a street
SPACING = 16.0  # metres between neighbouring places, before a shift of up to SHIFT each
SHIFT = 1.8
FIRST_SLOT = 32.0  # metres from the street's start to its first place
STREET_LENGTH = 2 * FIRST_SLOT + (SLOTS - 1) * SPACING
BLOCK = 420.0  # metres between the centres of neighbouring streets' blocks: longer than any street with its ends
BLOCKS_PER_ROW = 8

MAX_SHIFT = 0.5  # metres from the nominal position: two photographs of a place are at most twice this apart
MAX_YAW, MAX_PITCH, MAX_ROLL = 3.4, 1.5, 1.0  # degrees: together below 4, so two photographs differ by less than 8


def stream(seed: int, purpose: str, *key: int) -> np.random.Generator:
    """A random stream that depends only on the seed, its purpose, and the street and slot that it is for."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *key]))


@dataclass(frozen=True)
class CityPlace:
    """One place: a slot of a street."""

    street: int
    slot: int
    split: str  # "train" or "val"

    @property
    def name(self) -> str:
        """The file name, without its suffix, of the place in every domain."""
        return f"street{self.street:02d}_place{self.slot:03d}"


@dataclass(frozen=True)
class Pose:
    """A camera in the street's own frame: metres along (x), to the left (y) and up (z); degrees."""

    x: float
    y: float
    z: float
    yaw: float  # counter-clockwise from the street's direction
    pitch: float  # up
    roll: float

    def rotation(self) -> np.ndarray:
        """Columns right, up, forward in the street's frame, shape (3, 3)."""
        return rotation(self.yaw, self.pitch, self.roll)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Columns right, up, forward of a camera, shape (3, 3), in a frame whose third axis is up.

    Args:
        yaw: degrees, counter-clockwise from the first axis to the second.
        pitch: degrees, upwards.
        roll: degrees, counter-clockwise as seen from behind the camera.
    """
    yaw, pitch, roll = math.radians(yaw), math.radians(pitch), math.radians(roll)
    forward = np.array([math.cos(pitch) * math.cos(yaw), math.cos(pitch) * math.sin(yaw), math.sin(pitch)])
    level = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    above = np.cross(level, forward)
    right = level * math.cos(roll) + above * math.sin(roll)
    return np.stack([right, np.cross(right, forward), forward], axis=1)


@dataclass(frozen=True)
class Street:
    """The position of a street: its start in metres east and north of the origin, and its bearing in degrees."""

    index: int
    east: float
    north: float
    bearing: float


def plan_places(count: int, validation: int | None = None) -> list[CityPlace]:
    """`count` places, of which `validation` (None: every fourth) are for validation, in separate streets.

    The n-th place of a split does not depend on the counts, so a city can grow without changing its images.
    """
    left = {"val": (count + 2) // 4 if validation is None else validation}
    left["train"] = count - left["val"]
    places: list[CityPlace] = []
    for n in itertools.count():
        if len(places) == count:
            return places
        split = "val" if n % 4 == 1 else "train"
        if not left[split]:
            continue
        left[split] -= 1
        if split == "val":
            ordinal = n // 4
            places.append(CityPlace(4 * (ordinal // SLOTS) + 1, ordinal % SLOTS, split))
        else:
            ordinal = 3 * (n // 4) + (0, 0, 1, 2)[n % 4]
            group = ordinal // SLOTS
            places.append(CityPlace(4 * (group // 3) + (0, 2, 3)[group % 3], ordinal % SLOTS, split))
    raise AssertionError("the numbers do not end")


def plan_street(seed: int, street: int) -> Street:
    """The street's place in the grid of blocks; each street runs through the middle of its own block."""
    rng = stream(seed, "lie of the street", street)
    bearing = float(90.0 * rng.integers(4) + rng.uniform(-12.0, 12.0)) % 360.0
    along_east, along_north = math.sin(math.radians(bearing)), math.cos(math.radians(bearing))
    middle_east = BLOCK * (street % BLOCKS_PER_ROW)
    middle_north = -BLOCK * (street // BLOCKS_PER_ROW)
    half = STREET_LENGTH / 2
    return Street(street, middle_east - half * along_east, middle_north - half * along_north, bearing)


def nominal_pose(seed: int, place: CityPlace) -> Pose:
    """The pose from which a place is photographed, before random shifts: on the road, obliquely facing the houses.

    Neighbouring places face opposite rows; all places of a street look in the same direction, as on a drive.
    """
    direction = 1 if stream(seed, "drive", place.street).random() < 0.5 else -1
    rng = stream(seed, "nominal pose", place.street, place.slot)
    x = FIRST_SLOT + SPACING * place.slot + rng.uniform(-SHIFT, SHIFT)
    side = 1 if place.slot % 2 == 0 else -1
    turn = rng.uniform(34.0, 64.0)
    yaw = side * turn if direction > 0 else side * (180.0 - turn)
    return Pose(x, -side * rng.uniform(0.2, 1.2), rng.uniform(1.5, 1.9), yaw, rng.uniform(6.0, 10.0), 0.0)


def photograph_pose(seed: int, place: CityPlace, domain: str) -> Pose:
    """The actual pose of a place's photograph in a domain: within MAX_SHIFT metres and 4 degrees of the nominal one."""
    nominal = nominal_pose(seed, place)
    rng = stream(seed, f"pose by {domain}", place.street, place.slot)
    away, around = MAX_SHIFT * math.sqrt(rng.uniform(0.1, 0.96)), rng.uniform(0.0, 2 * math.pi)
    return Pose(
        nominal.x + away * math.cos(around),
        nominal.y + away * math.sin(around),
        nominal.z + rng.uniform(-0.1, 0.1) * MAX_SHIFT,
        nominal.yaw + rng.uniform(-MAX_YAW, MAX_YAW),
        nominal.pitch + rng.uniform(-MAX_PITCH, MAX_PITCH),
        nominal.roll + rng.uniform(-MAX_ROLL, MAX_ROLL),
    )


def street_position(street: Street, pose: Pose) -> tuple[float, float]:
    """The position of a camera in a street: metres east and north of the city's origin."""
    bearing = math.radians(street.bearing)
    east = street.east + pose.x * math.sin(bearing) - pose.y * math.cos(bearing)
    north = street.north + pose.x * math.cos(bearing) + pose.y * math.sin(bearing)
    return east, north


def geography(street: Street, pose: Pose) -> tuple[float, float, float]:
    """Latitude, longitude (degrees) and heading (degrees clockwise from north, 0 to 360) of a camera.

    Local metres are converted to degrees on a sphere of EARTH_RADIUS_METRES, with the length that a degree of longitude
    has at the camera's own latitude.
    """
    east, north = street_position(street, pose)
    latitude = ORIGIN_LATITUDE + math.degrees(north / EARTH_RADIUS_METRES)
    longitude = ORIGIN_LONGITUDE + math.degrees(east / (EARTH_RADIUS_METRES * math.cos(math.radians(latitude))))
    return latitude, longitude, (street.bearing - pose.yaw) % 360.0
