"""An answer in the form that a client asks for: JSON, GeoJSON (RFC 7946) or GeoPose (OGC 21-056r11)."""

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
    """Which of the OFFERED forms an Accept header prefers (RFC 9110, 12.5.1); JSON where it does not care.

    Raises:
        Refusal: none of them will do, or it is longer than anybody needs.
    """
    if accept is not None and len(accept) > ACCEPT_LENGTH:
        raise Refusal("head_too_large", f"Accept is longer than {ACCEPT_LENGTH} characters.")
    ranges = [_parse(part) for part in (accept or "*/*").split(",") if part.strip()]
    # what names a form most exactly decides how much it is wanted; of forms wanted alike, the one named most exactly
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
    """How exactly a media range names a form, and how much it wants it; (0, 0) where it does not match."""
    kind, profile, quality = wanted
    own_kind, _, own = form.partition(";profile=")
    own_profile = own or ("basic-ypr" if own_kind == GEOPOSE else None)
    if kind in ("*/*", "application/*"):
        return (1 if kind == "*/*" else 2), quality
    if kind != own_kind or (profile is not None and profile != own_profile):
        return 0, 0.0
    return (4 if profile is not None else 3), quality


def render(answer: QueryAnswer, form: str) -> dict[str, Any]:
    """The answer as one of the OFFERED forms but JSON.

    Raises:
        Refusal: a pose is asked for and there is no location.
    """
    if form == GEOJSON:
        return to_geojson(answer)
    location = located(answer)
    if form == QUATERNION:
        return BasicQuaternion(position=geo_position(location), quaternion=quaternion_of(location.heading)).model_dump()
    return BasicYpr(position=geo_position(location), angles=yaw_of(location.heading)).model_dump()


def located(answer: QueryAnswer) -> Location:
    """The location of an answer that is located on the earth; a pose has no words for less.

    Raises:
        Refusal: it is not, with the reason.
    """
    name = answer.index.name
    if answer.verdict == "located" and answer.location is not None:
        if answer.location.latitude is None:
            raise Refusal(
                "not_located",
                f"The index {name} is in a local frame without an anchor, so nothing is known of the earth. Ask for"
                " application/json to have x and y.",
            )
        return answer.location
    why = {
        "uncalibrated": f"Nothing says how likely an answer of the map {name} is right (daco-bench calibrate).",
        "not_on_map": f"The photograph's place is probably not in the index {name}.",
    }.get(answer.verdict, "None of the matches has a position.")
    raise Refusal("not_located", f"{why} Ask for application/json to see the matches.")
