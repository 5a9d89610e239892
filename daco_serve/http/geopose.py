"""Poses on the earth (OGC GeoPose 1.0), and the requests and answers of the GeoPose Protocol that carry them.

Frames: east, north, up at the position. The photograph's own axes are x forward, y left, z up, as in ROS (REP 103), so
that a camera that looks east stands at the identity, and yaw turns anticlockwise from there: yaw = 90 - heading.
Pitch and roll are not known and given as level. The height h is the altitude of the references, as they have it, where
they have one; else the device's own, where it says one. OGC's form knows no missing height: where neither says one, h
is 0. Our own answers say `null` there.
"""

import math

from PIL import Image
from pydantic import AliasChoices, BaseModel, Field

from daco_serve.http.schemas import Location, Prior

# what an image-retrieval heading is worth: a photograph that looks like another sees mostly the same, so it looks the
# same way within about half a field of view
KNOWN_HEADING_DEGREES = 30.0
UNKNOWN_HEADING_DEGREES = 180.0
# Pillow turns the other way round
CLOCKWISE = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)
MOST_READINGS = 256  # of each kind
PRIOR_DEVIATIONS = 3  # a device that says 20 m is searched for within 60
LEAST_PRIOR_METRES = 100.0


class GeoPosition(BaseModel):
    """WGS 84, degrees; h in metres: the altitude of the references, 0 where it is not known."""

    lat: float
    lon: float
    h: float


class Angles(BaseModel):
    """Degrees, anticlockwise: yaw from east about up, then pitch, then roll."""

    yaw: float
    pitch: float
    roll: float


class Quaternion(BaseModel):
    """A unit quaternion, the rotation from the frame of the earth to that of the camera."""

    x: float
    y: float
    z: float
    w: float


class BasicYpr(BaseModel):
    """OGC GeoPose 1.0, Basic-YPR."""

    position: GeoPosition
    angles: Angles


class BasicQuaternion(BaseModel):
    """OGC GeoPose 1.0, Basic-Quaternion."""

    position: GeoPosition
    quaternion: Quaternion


class Accuracy(BaseModel):
    """Metres, and degrees; 180 where the direction is not known."""

    position: float
    orientation: float


class GeoPoseAnswer(BaseModel):
    """GeoPose Protocol: where the camera was."""

    id: str = Field(description="Of the request.")
    timestamp: int = Field(description="Milliseconds since 1970.")
    type: str = "geopose"
    accuracy: Accuracy
    geopose: BasicQuaternion


class ImageOrientation(BaseModel):
    """How the camera held the picture: what has to be done to see it upright, first the mirroring, then the turn."""

    mirrored: bool = False
    rotation: float = Field(default=0.0, allow_inf_nan=False, description="Degrees clockwise, a multiple of 90.")

    def upright(self) -> tuple[Image.Transpose, ...]:
        """What has to be done to the picture.

        Raises:
            ValueError: it is not turned by a multiple of 90 degrees.
        """
        quarter, rest = divmod(self.rotation % 360, 90)
        if rest:
            raise ValueError("the rotation is no multiple of 90 degrees")
        mirror = (Image.Transpose.FLIP_LEFT_RIGHT,) if self.mirrored else ()
        return mirror + (() if not quarter else (CLOCKWISE[int(quarter) - 1],))


class CameraReading(BaseModel):
    """A photograph; what else the protocol has of it (size, intrinsics) is not needed."""

    imageFormat: str = Field(examples=["JPG"], description="Not relied upon: the bytes say it themselves.")
    imageBytes: str = Field(description="The photograph's file in base64.")
    imageOrientation: ImageOrientation = ImageOrientation()


class GeolocationReading(BaseModel):
    """Where the device thinks that it is; it narrows the search where it says how accurate that is."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    altitude: float | None = Field(default=None, description="Metres above the ellipsoid.")
    accuracy: float = Field(default=0.0, description="Metres; 0 where not known.")


class SensorReadings(BaseModel):
    """What the device measured; of other sensors nothing is used."""

    cameraReadings: list[CameraReading] = Field(default=[], max_length=MOST_READINGS)
    geolocationReadings: list[GeolocationReading] = Field(
        default=[],
        max_length=MOST_READINGS,
        # the protocol has one spelling, its JavaScript client writes the other
        validation_alias=AliasChoices("geolocationReadings", "geoLocationReadings"),
    )


class GeoPoseRequest(BaseModel):
    """GeoPose Protocol: a photograph, and what the device knows of its place."""

    id: str
    type: str = "geopose"
    sensorReadings: SensorReadings
    priorPoses: list[GeoPoseAnswer] | None = Field(default=None, max_length=MOST_READINGS)

    def prior(self) -> Prior | None:
        """Where to look: around the device's own position, or else its last pose; None where it gives no accuracy.

        Raises:
            ValidationError: that is no place on the earth, or no finite distance.
        """
        for reading in self.sensorReadings.geolocationReadings:
            if reading.accuracy > 0:
                return _around(reading.latitude, reading.longitude, reading.accuracy)
        for pose in (self.priorPoses or [])[-1:]:
            if pose.accuracy.position > 0:
                position = pose.geopose.position
                return _around(position.lat, position.lon, pose.accuracy.position)
        return None

    def height(self) -> float:
        """Metres above the ellipsoid: what the device measured, or its last pose had; 0 where neither says."""
        heights = [reading.altitude for reading in self.sensorReadings.geolocationReadings]
        heights += [pose.geopose.position.h for pose in (self.priorPoses or [])[-1:]]
        return next((height for height in heights if height is not None and math.isfinite(height)), 0.0)


def _around(latitude: float, longitude: float, accuracy: float) -> Prior:
    metres = max(LEAST_PRIOR_METRES, PRIOR_DEVIATIONS * accuracy)
    return Prior(latitude=latitude, longitude=longitude, metres=metres)


def geo_position(location: Location, height: float = 0.0) -> GeoPosition:
    """The position of a location on the earth, at its altitude, or else at a height.

    Raises:
        ValueError: it is in a local frame alone.
    """
    if location.latitude is None or location.longitude is None:
        raise ValueError("a location in a local frame has no GeoPose")
    altitude = height if location.altitude is None else location.altitude
    return GeoPosition(lat=location.latitude, lon=location.longitude, h=altitude)


def yaw_of(heading: float | None) -> Angles:
    """A level camera that looks along a heading (degrees clockwise from north); unknown, the identity."""
    return Angles(yaw=_yaw(heading), pitch=0.0, roll=0.0)


def quaternion_of(heading: float | None) -> Quaternion:
    """As `yaw_of`: a turn by yaw about the axis that points up."""
    half = math.radians(_yaw(heading)) / 2
    return Quaternion(x=0.0, y=0.0, z=math.sin(half), w=math.cos(half))


def orientation_accuracy(heading: float | None) -> float:
    """Degrees by which the direction may be off."""
    return UNKNOWN_HEADING_DEGREES if heading is None else KNOWN_HEADING_DEGREES


def _yaw(heading: float | None) -> float:
    return 0.0 if heading is None else round(180 - (heading + 90) % 360, 6)
