"""Asks a running server, with the standard library."""

import json
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from pydantic import ValidationError

from daco_serve.schemas import ErrorAnswer, QueryAnswer
from training.errors import DacoError

TIMEOUT_SECONDS = 60.0


def ask(url: str, image: Path, k: int | None = None, key: str | None = None) -> QueryAnswer:
    """The server's answer to one photograph.

    Args:
        url: of the server, such as `http://127.0.0.1:8000`.
        k: how many matches; None for the server's default.
        key: what to show to a server that asks for one.

    Raises:
        DacoError: the photograph cannot be read, there is no such server, or it refuses the photograph.
    """
    if not url.startswith(("http://", "https://")):
        raise DacoError(f"{url} is not the address of a server: it begins with http:// or https://.")
    try:
        content = image.read_bytes()
    except OSError as error:
        raise DacoError(f"{image} cannot be read: {error.strerror}.") from error
    parameters = "" if k is None else "?" + urlencode({"k": k})
    headers = {"Content-Type": "application/octet-stream"}
    if key:
        headers["Authorization"] = f"Bearer {key}"
    request = Request(f"{url.rstrip('/')}/v1/query{parameters}", content, headers)
    try:
        with urlopen(request, timeout=TIMEOUT_SECONDS) as response:
            return QueryAnswer.model_validate_json(response.read())
    except HTTPError as error:
        raise DacoError(f"{image}: {_reason(error)}") from error
    except (URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise DacoError(
            f"No server answers at {url} ({reason}): start one with daco-serve run, or name it with --url."
        ) from error
    except (ValidationError, ValueError) as error:
        raise DacoError(f"What answers at {url} is not a daco-serve server.") from error


def _reason(error: HTTPError) -> str:
    try:
        return ErrorAnswer.model_validate(json.loads(error.read())).error.message
    except ValueError:
        return f"the server answered {error.code} {error.reason}."
