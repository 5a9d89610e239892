"""Converts UTM coordinates to latitude and longitude on the WGS 84 ellipsoid.

Uses Krueger's series to the fourth order in the third flattening, after C. F. F. Karney, "Transverse Mercator with an
accuracy of a few nanometers", Journal of Geodesy 85 (2011): equations 7 and 9 to 11 for the frame, 19 to 21 for the
latitude, 36 for the coefficients. The truncation error is below a hundredth of a millimetre within a zone.
"""

import math

from daco_core.photographs.coordinates import EQUATOR_RADIUS_METRES, FLATTENING

SCALE = 0.9996
FALSE_EASTING = 500_000.0
FALSE_NORTHING_SOUTH = 10_000_000.0
BANDS = "CDEFGHJKLMNPQRSTUVWX"  # 8 degrees each, from 80 degrees south; N is the first north of the equator

_N = FLATTENING / (2 - FLATTENING)
_ECCENTRICITY = math.sqrt(FLATTENING * (2 - FLATTENING))
_RECTIFYING_RADIUS = EQUATOR_RADIUS_METRES / (1 + _N) * (1 + _N**2 / 4 + _N**4 / 64)
_BETA = (
    _N / 2 - 2 * _N**2 / 3 + 37 * _N**3 / 96 - _N**4 / 360,
    _N**2 / 48 + _N**3 / 15 - 437 * _N**4 / 1440,
    17 * _N**3 / 480 - 37 * _N**4 / 840,
    4397 * _N**4 / 161280,
)


def utm_to_degrees(easting: float, northing: float, zone: int, letter: str) -> tuple[float, float]:
    """Latitude and longitude in degrees of a point in UTM coordinates.

    Args:
        easting, northing: metres, including the false origins of UTM.
        zone: 1 to 60.
        letter: the latitude band, C to X without I and O; only the hemisphere matters.

    Raises:
        ValueError: there is no such zone or band, or the point lies far outside any zone.
    """
    if not 1 <= zone <= 60 or letter.upper() not in BANDS:
        raise ValueError(f"there is no UTM zone {zone}{letter}")
    if not (0 <= easting <= 1_000_000 and 0 <= northing <= 10_000_000):
        raise ValueError(f"{easting}, {northing} is not in a UTM zone")
    origin = FALSE_NORTHING_SOUTH if letter.upper() < "N" else 0.0
    xi = (northing - origin) / (SCALE * _RECTIFYING_RADIUS)
    eta = (easting - FALSE_EASTING) / (SCALE * _RECTIFYING_RADIUS)
    terms = list(enumerate(_BETA, start=1))
    sphere_xi = xi - sum(b * math.sin(2 * j * xi) * math.cosh(2 * j * eta) for j, b in terms)
    sphere_eta = eta - sum(b * math.cos(2 * j * xi) * math.sinh(2 * j * eta) for j, b in terms)
    tangent = math.sin(sphere_xi) / math.hypot(math.sinh(sphere_eta), math.cos(sphere_xi))
    longitude = math.atan2(math.sinh(sphere_eta), math.cos(sphere_xi))
    return math.degrees(math.atan(_geographic(tangent))), 6 * zone - 183 + math.degrees(longitude)


def _geographic(conformal: float) -> float:
    """The tangent of the latitude from that of the conformal latitude, by Newton's method (equations 19 to 21)."""
    tangent = conformal
    for _ in range(5):
        secant = math.hypot(1, tangent)
        sigma = math.sinh(_ECCENTRICITY * math.atanh(_ECCENTRICITY * tangent / secant))
        reached = tangent * math.hypot(1, sigma) - sigma * secant
        slope = (1 + (1 - _ECCENTRICITY**2) * tangent**2) / ((1 - _ECCENTRICITY**2) * secant)
        tangent += (conformal - reached) / math.hypot(1, reached) * slope
    return tangent
