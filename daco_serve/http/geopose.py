"""Poses on the earth (OGC GeoPose 1.0), and the requests and answers of the GeoPose Protocol that carry them.

Frames: east, north, up at the position. The camera's own axes are x forward, y left, z up, as in ROS (REP 103). So a
camera that looks east has the identity rotation, and yaw is anticlockwise from there: yaw = 90 - heading. Pitch and
roll are unknown and given as 0. The height h is the altitude of the references if they have one; else the device's own,
if it sends one. OGC's format cannot express a missing height: without either, h is 0. The server's own JSON has `null`
there.
"""

import math

from PIL import Image
from pydantic import AliasChoices, BaseModel, Field

from daco_serve.http.schemas import Location, Prior

# the accuracy of a heading from image retrieval: two photographs that look alike show mostly the same, so their
# directions agree within about half a field of view
KNOWN_HEADING_DEGREES = 30.0
UNKNOWN_HEADING_DEGREES = 180.0
# Pillow rotates anticlockwise
CLOCKWISE = (Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_90)
MOST_READINGS = 256  # of each kind
PRIOR_DEVIATIONS = 3  # if a device states 20 m, the search covers 60
LEAST_PRIOR_METRES = 100.0


class GeoPosition(BaseModel):
    """WGS 84, degrees; h in metres: the altitude of the references, 0 if unknown."""

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
    """Metres, and degrees; 180 if the direction is unknown."""

    position: float
    orientation: float


class GeoPoseAnswer(BaseModel):
    """The camera's pose, in the GeoPose Protocol."""

    id: str = Field(description="Of the request.")
    timestamp: int = Field(description="Milliseconds since 1970.")
    type: str = "geopose"
    accuracy: Accuracy
    geopose: BasicQuaternion


class ImageOrientation(BaseModel):
    """How to make the picture upright: first the mirroring, then the rotation."""

    mirrored: bool = False
    rotation: float = Field(default=0.0, allow_inf_nan=False, description="Degrees clockwise, a multiple of 90.")

    def upright(self) -> tuple[Image.Transpose, ...]:
        """The operations that make the picture upright.

        Raises:
            ValueError: the rotation is not a multiple of 90 degrees.
        """
        quarter, rest = divmod(self.rotation % 360, 90)
        if rest:
            raise ValueError("the rotation is not a multiple of 90 degrees")
        mirror = (Image.Transpose.FLIP_LEFT_RIGHT,) if self.mirrored else ()
        return mirror + (() if not quarter else (CLOCKWISE[int(quarter) - 1],))


class CameraReading(BaseModel):
    """A photograph; the protocol's other fields (size, intrinsics) are not used."""

    imageFormat: str = Field(examples=["JPG"], description="Not used: the format is detected from the bytes.")
    imageBytes: str = Field(description="The photograph's file in base64.")
    imageOrientation: ImageOrientation = ImageOrientation()


class GeolocationReading(BaseModel):
    """The device's own position; it narrows the search if it states its accuracy."""

    latitude: float = Field(ge=-90, le=90)
    longitude: float = Field(ge=-180, le=180)
    altitude: float | None = Field(default=None, description="Metres above the ellipsoid.")
    accuracy: float = Field(default=0.0, description="Metres; 0 if unknown.")


class SensorReadings(BaseModel):
    """The device's measurements; other sensors than these are ignored."""

    cameraReadings: list[CameraReading] = Field(default=[], max_length=MOST_READINGS)
    geolocationReadings: list[GeolocationReading] = Field(
        default=[],
        max_length=MOST_READINGS,
        # the protocol has one spelling; its JavaScript client uses the other
        validation_alias=AliasChoices("geolocationReadings", "geoLocationReadings"),
    )


class GeoPoseRequest(BaseModel):
    """A photograph, and what the device knows about its place, in the GeoPose Protocol."""

    id: str
    type: str = "geopose"
    sensorReadings: SensorReadings
    priorPoses: list[GeoPoseAnswer] | None = Field(default=None, max_length=MOST_READINGS)

    def prior(self) -> Prior | None:
        """Where to search: around the device's own position, or its last pose; None if it states no accuracy.

        Raises:
            ValidationError: that is not a place on the earth, or not a finite distance.
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
        """Metres above the ellipsoid, as the device measured it, or from its last pose; 0 without either."""
        heights = [reading.altitude for reading in self.sensorReadings.geolocationReadings]
        heights += [pose.geopose.position.h for pose in (self.priorPoses or [])[-1:]]
        return next((height for height in heights if height is not None and math.isfinite(height)), 0.0)


def _around(latitude: float, longitude: float, accuracy: float) -> Prior:
    metres = max(LEAST_PRIOR_METRES, PRIOR_DEVIATIONS * accuracy)
    return Prior(latitude=latitude, longitude=longitude, metres=metres)


def geo_position(location: Location, height: float = 0.0) -> GeoPosition:
    """The position of a location on the earth, at its altitude, or else at `height`.

    Raises:
        ValueError: it has a local position only.
    """
    if location.latitude is None or location.longitude is None:
        raise ValueError("a local position has no GeoPose")
    altitude = height if location.altitude is None else location.altitude
    return GeoPosition(lat=location.latitude, lon=location.longitude, h=altitude)


def yaw_of(heading: float | None) -> Angles:
    """A level camera with a heading (degrees clockwise from north); the identity if it is unknown."""
    return Angles(yaw=_yaw(heading), pitch=0.0, roll=0.0)


def quaternion_of(heading: float | None) -> Quaternion:
    """The rotation of `yaw_of` as a quaternion: by yaw about the upward axis."""
    half = math.radians(_yaw(heading)) / 2
    return Quaternion(x=0.0, y=0.0, z=math.sin(half), w=math.cos(half))


def orientation_accuracy(heading: float | None) -> float:
    """The uncertainty of the direction in degrees."""
    return UNKNOWN_HEADING_DEGREES if heading is None else KNOWN_HEADING_DEGREES


def _yaw(heading: float | None) -> float:
    return 0.0 if heading is None else round(180 - (heading + 90) % 360, 6)
