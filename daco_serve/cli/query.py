"""`daco-serve query`: queries a running server, and prints its answers as a table or as JSON."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from daco_core.console import number, option
from daco_core.errors import UsageError
from daco_core.untrusted_text import printable

if TYPE_CHECKING:
    from rich.console import Console

    from daco_serve.client import Refused
    from daco_serve.http.schemas import Location, Match, Prior, QueryAnswer


def query(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="The photographs to look up.")],
    url: Annotated[str, option("url", "Address of the server.")] = "http://127.0.0.1:8000",
    k: Annotated[int | None, option("k", "Number of matches.", "-k", min=1, show_default="the server's")] = None,
    index: Annotated[str | None, option("index", "Name of the index.", show_default="the server's first")] = None,
    prior: Annotated[
        str | None,
        option(
            "prior",
            "Search only within this circle: LATITUDE,LONGITUDE,METRES, or FRAME:X,Y,METRES in a local frame.",
            show_default="everywhere",
        ),
    ] = None,
    rerank: Annotated[
        int | None,
        option("rerank", "Number of candidates to re-rank by local descriptors.", min=0, show_default="the server's"),
    ] = None,
    key: Annotated[
        str | None,
        option(
            "key", "API key; use the variable DACO_KEY to hide it from other users of the machine.", envvar="DACO_KEY"
        ),
    ] = None,
    as_json: Annotated[bool, option("json", "Print the answers as a JSON list.")] = False,
) -> None:
    """Query a running server with photographs.

    Prints the matches of one photograph, or one line for each of several. A photograph with an error has it in its
    line, or in its place in the JSON output; the exit code is then 1.

    Example: daco-serve query night.jpg --k 3
    """
    from daco_serve.client import Client, Refused

    with Client(url, key, index) as client:
        around = _prior(prior)
        if len(images) == 1:
            answers: list[QueryAnswer | Refused] = [client.query(images[0], k, around, rerank)]
        else:
            answers = list(client.query_many(images, k, around, rerank))
    if as_json:
        print(json.dumps([_as_json(image, answer) for image, answer in zip(images, answers, strict=True)], indent=2))
    elif len(images) == 1:
        _print_matches(images[0], answers[0])
    else:
        _print_lines(images, answers)
    if any(isinstance(answer, Refused) for answer in answers):
        raise typer.Exit(1)


def _prior(text: str | None) -> "Prior | None":
    from daco_serve.http.schemas import Prior

    if text is None:
        return None
    try:
        return Prior.parse(text)
    except ValueError as error:  # and ValidationError
        raise UsageError(
            f"--prior {text} is not LATITUDE,LONGITUDE,METRES, such as 35.6586,139.7454,200, nor FRAME:X,Y,METRES in a"
            " local frame."
        ) from error


def _as_json(image: Path, answer: "QueryAnswer | Refused") -> dict[str, object]:
    from daco_serve.client import Refused

    if isinstance(answer, Refused):
        return {"query": str(image), "error": {"code": answer.code, "message": str(answer)}}
    return {"query": str(image), **answer.model_dump()}


def _console() -> "Console":
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else 120)


def _print_matches(image: Path, answer: "QueryAnswer | Refused") -> None:
    from rich.markup import escape
    from rich.table import Table

    from daco_serve.client import Refused

    assert not isinstance(answer, Refused)  # for a single photograph it is raised
    table = Table(title=escape(printable(str(image))), title_justify="left")
    is_local = any(match.latitude is None and match.local is not None for match in answer.matches)
    axes = ("x", "y") if is_local else ("latitude", "longitude")
    for name in ("rank", "place", "similarity", "votes", *axes, "heading"):
        table.add_column(name, overflow="fold", justify="left" if name == "place" else "right")
    for match in answer.matches:
        table.add_row(
            str(match.rank),
            escape(printable(match.place)),
            f"{match.similarity:.4f}",
            number(match.votes, 0),
            *_coordinates(match, is_local),
            number(match.heading, 0),
        )
    console = _console()
    console.print(table)
    console.print(f"{_sentence(answer)} {answer.timings.total_ms:.0f} ms.")
    _warn({image: answer})


def _warn(answers: "Mapping[Path, QueryAnswer | Refused]") -> None:
    """Prints on stderr what is unusual about the photographs."""
    for image, answer in answers.items():
        for warning in getattr(answer, "warnings", []):
            print(f"Warning: {printable(str(image))}: {printable(warning)}", file=sys.stderr)


def _sentence(answer: "QueryAnswer") -> str:
    if answer.verdict == "not_on_map":
        chance = "" if answer.on_map is None else f" (probability that it is: {100 * answer.on_map:.0f} %)"
        return f"Probably not on the map {answer.index.name}{chance}."
    if answer.place is None:
        return "No match."
    where = ""
    if answer.location is not None:
        location = answer.location
        estimate = "" if location.calibrated else " (an estimate, not calibrated)"
        where = f" at {_position(location)}, give or take {location.uncertainty_metres:.0f} m{estimate}"
    if answer.probability is None:
        return f"Closest match: {answer.place}{where}; it may be wrong, because the index is not calibrated."
    return f"Looks like {answer.place}{where}; {100 * answer.probability:.0f} % likely to be right."


def _position(location: "Location") -> str:
    """Degrees if known, and metres in the local frame if known."""
    parts = []
    if location.latitude is not None and location.longitude is not None:
        parts.append(f"{location.latitude:.6f}, {location.longitude:.6f}")
    if (local := location.local) is not None:
        height = "" if local.z is None else f", z {local.z:.2f}"
        parts.append(f"x {local.x:.2f}, y {local.y:.2f}{height} m in {printable(local.frame)}")
    if location.floor is not None:
        parts.append(f"floor {printable(location.floor)}")
    return "; ".join(parts)


def _print_lines(images: Sequence[Path], answers: Sequence["QueryAnswer | Refused"]) -> None:
    from rich.markup import escape
    from rich.table import Table

    from daco_serve.client import Refused

    table = Table()
    locations = [answer.location for answer in answers if not isinstance(answer, Refused) and answer.location]
    is_local = any(location.latitude is None for location in locations)
    axes = ("x", "y") if is_local else ("latitude", "longitude")
    for name in ("photograph", "place", "similarity", *axes, "give or take", "likely"):
        table.add_column(name, overflow="fold", justify="left" if name in ("photograph", "place") else "right")
    for image, answer in zip(images, answers, strict=True):
        name = escape(printable(str(image)))
        if isinstance(answer, Refused):
            table.add_row(name, f"[red]{escape(printable(str(answer).removeprefix(f'{image}: ')))}[/red]")
            continue
        location, best = answer.location, answer.best or next(iter(answer.matches), None)
        table.add_row(
            name,
            "not on this map" if answer.place is None else escape(printable(answer.place)),
            number(None if best is None else best.similarity, 4),
            *_coordinates(location, is_local),
            "-" if location is None else f"{location.uncertainty_metres:.0f} m",
            _likely(answer),
        )
    _console().print(table)
    _warn(dict(zip(images, answers, strict=True)))


def _coordinates(where: "Match | Location | None", is_local: bool) -> tuple[str, str]:
    """Two cells of a table: metres in the local frame, or degrees."""
    if where is None:
        return number(None, 0), number(None, 0)
    if not is_local:
        return number(where.latitude, 6), number(where.longitude, 6)
    local = where.local
    return (number(None, 0), number(None, 0)) if local is None else (number(local.x, 2), number(local.y, 2))


def _likely(answer: "QueryAnswer") -> str:
    if answer.verdict == "uncalibrated":
        return "not calibrated"
    return "-" if answer.probability is None else f"{100 * answer.probability:.0f} %"
