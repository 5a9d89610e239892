"""Answers in the format that a client requests: JSON, GeoJSON (RFC 7946) or GeoPose (OGC 21-056r11)."""

import math
from typing import Any

from daco_serve.http.geojson import to_geojson
from daco_serve.http.geopose import BasicQuaternion, BasicYpr, geo_position, quaternion_of, yaw_of
from daco_serve.http.refusals import Refusal
from daco_serve.http.schemas import Location, QueryAnswer

JSON = "application/json"
GEOJSON = "application/geo+json"
GEOPOSE = "application/geopose+json"
QUATERNION = f"{GEOPOSE};profile=basic-quaternion"
ACCEPT_LENGTH = 4096
OFFERED = (JSON, GEOJSON, GEOPOSE, QUATERNION)


def choose(accept: str | None) -> str:
    """The format among OFFERED that an Accept header prefers (RFC 9110, 12.5.1); JSON if it has no preference.

    Raises:
        Refusal: none of them is acceptable, or the header is too long.
    """
    if accept is not None and len(accept) > ACCEPT_LENGTH:
        raise Refusal("head_too_large", f"Accept is longer than {ACCEPT_LENGTH} characters.")
    ranges = [_parse(part) for part in (accept or "*/*").split(",") if part.strip()]
    # the most specific range that matches a format determines its quality; of equal ones, the more specific wins
    found = {form: max((_match(form, wanted) for wanted in ranges), default=(0, 0.0)) for form in OFFERED}
    best = max(OFFERED, key=lambda form: (found[form][1], found[form][0]))
    if found[best][1] <= 0:
        raise Refusal("not_acceptable")
    return best


def _parse(text: str) -> tuple[str, str | None, float]:
    """Type, profile and quality of one media range."""
    kind, *parameters = (part.strip().lower() for part in text.split(";"))
    given = dict(parameter.partition("=")[::2] for parameter in parameters)
    try:
        quality = float(given.get("q", "1"))
    except ValueError:
        quality = 0.0
    profile = given.get("profile")
    return kind, profile.strip('"') if profile else None, quality if math.isfinite(quality) else 0.0


def _match(form: str, wanted: tuple[str, str | None, float]) -> tuple[int, float]:
    """How specifically a media range matches a format, and its quality; (0, 0) if it does not match."""
    kind, profile, quality = wanted
    own_kind, _, own = form.partition(";profile=")
    own_profile = own or ("basic-ypr" if own_kind == GEOPOSE else None)
    if kind in ("*/*", "application/*"):
        return (1 if kind == "*/*" else 2), quality
    if kind != own_kind or (profile is not None and profile != own_profile):
        return 0, 0.0
    return (4 if profile is not None else 3), quality


def render(answer: QueryAnswer, form: str) -> dict[str, Any]:
    """The answer in one of the OFFERED formats, except JSON.

    Raises:
        Refusal: a pose is requested, and there is no location.
    """
    if form == GEOJSON:
        return to_geojson(answer)
    location = located(answer)
    if form == QUATERNION:
        return BasicQuaternion(position=geo_position(location), quaternion=quaternion_of(location.heading)).model_dump()
    return BasicYpr(position=geo_position(location), angles=yaw_of(location.heading)).model_dump()


def located(answer: QueryAnswer) -> Location:
    """The location of an answer, if it is located on the earth; a pose cannot express anything else.

    Raises:
        Refusal: it is not; the message says why.
    """
    name = answer.index.name
    if answer.verdict == "located" and answer.location is not None:
        if answer.location.latitude is None:
            raise Refusal(
                "not_located",
                f"The index {name} is in a local frame without an anchor, so positions on the earth are unknown."
                " Request application/json for x and y.",
            )
        return answer.location
    why = {
        "uncalibrated": f"The index {name} has no calibration, so the answer cannot be judged (daco-bench calibrate).",
        "not_on_map": f"The photograph's place is probably not in the index {name}.",
    }.get(answer.verdict, "None of the matches has a position.")
    raise Refusal("not_located", f"{why} Request application/json for the matches.")
