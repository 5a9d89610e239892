"""What both clients do alike: requests made of arguments, and answers or errors made of responses."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from daco_core.errors import DacoError, UsageError
from daco_serve.http.schemas import BatchAnswer, ErrorAnswer, Match, Prior, QueryAnswer, RequestLimits

TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 120.0
SHORTEST_WAIT_SECONDS = 0.1  # before a request is sent again, whatever the server says
BATCH_PHOTOGRAPHS, BATCH_BYTES = 8, 32 * 2**20  # of one request, if the server accepts so much

Photograph = Path | str | bytes
Answer = TypeVar("Answer", bound=BaseModel)


class Refused(DacoError):
    """The server answered with an error.

    Args:
        code: what programs tell errors apart by, such as `not_an_image`; empty where the answer had none.
        status: of HTTP; None for one photograph of a batch that was answered.
    """

    def __init__(self, message: str, code: str, status: int | None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Unreachable(DacoError):
    """There is no server, or it is not a daco-serve server."""


@dataclass(frozen=True)
class Request:
    """One request, as either client sends it; `subject` begins the sentence of an error."""

    method: str
    path: str
    parameters: dict[str, str | int]
    subject: str = ""
    content: bytes | None = None
    files: list[tuple[str, tuple[str, bytes]]] | None = None

    def arguments(self) -> dict[str, Any]:
        return {
            "method": self.method,
            "url": self.path,
            "params": self.parameters,
            "content": self.content,
            "files": self.files,
        }


class ClientBase:
    """What the two clients do alike: requests from arguments, and answers or errors from responses."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        index: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"{url} is not the address of a server: it begins with http:// or https://.")
        try:
            host = httpx.URL(url).host
        except httpx.InvalidURL as error:
            raise UsageError(f"{url} is not the address of a server: {error}.") from error
        if not host:
            raise UsageError(f"{url} is not the address of a server: it names no host.")
        if key and not (key.isascii() and key.isprintable()):
            raise UsageError("The key has characters that no key has: copy it again.")
        self.url = url.rstrip("/")
        self.index = index
        self.patience = patience
        self.headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._limits: RequestLimits | None = None
        self._settings: dict[str, Any] = {"base_url": self.url, "headers": self.headers, "timeout": timeout}

    def _query(
        self, photograph: Photograph, k: int | None, prior: Prior | None, rerank: int | None, cells: bool
    ) -> Request:
        name, content = read_photograph(photograph)
        return Request(
            "POST", "/v1/query", self._parameters(k, prior, rerank, cells), f"{name}: " if name else "", content
        )

    def _batches(
        self,
        photographs: Iterable[Photograph],
        parameters: dict[str, str | int],
        limits: RequestLimits,
    ) -> Iterator["Request | Refused"]:
        """Requests that the server accepts, and in their places the photographs that it would not; in order."""
        most = min(BATCH_PHOTOGRAPHS, limits.batch_photographs)
        most_bytes = min(BATCH_BYTES, limits.batch_bytes)
        largest = min(limits.photograph_bytes, limits.batch_bytes)
        files: list[tuple[str, tuple[str, bytes]]] = []
        room = most_bytes
        for photograph in photographs:
            size = _size(photograph)
            fits = size <= largest
            if files and (not fits or len(files) == most or size > room):
                yield Request("POST", "/v1/query/batch", parameters, files=files)
                files, room = [], most_bytes
            if fits:
                name, content = read_photograph(photograph)
                files.append(("image", (name or "photograph", content)))
                room -= len(content)
            else:
                name = "" if isinstance(photograph, bytes) else f"{photograph}: "
                reason = f"it has {size} bytes, and the server accepts at most {largest}."
                yield Refused(name + reason, "image_too_large", None)
        if files:
            yield Request("POST", "/v1/query/batch", parameters, files=files)

    def _parameters(self, k: int | None, prior: Prior | None, rerank: int | None, cells: bool) -> dict[str, str | int]:
        parameters: dict[str, str | int] = {}
        if k is not None:
            parameters["k"] = k
        if self.index is not None:
            parameters["index"] = self.index
        if rerank is not None:
            parameters["rerank"] = rerank
        if cells:
            parameters["cells"] = "true"
        if prior is not None:
            parameters["prior"] = prior.as_text()
        return parameters

    def _answer(self, request: Request, response: httpx.Response, kind: type[Answer]) -> Answer:
        self._check(request, response)
        try:
            return kind.model_validate_json(response.content)
        except ValidationError as error:
            raise Unreachable(f"What answers at {self.url} is not a daco-serve server.") from error

    def _check(self, request: Request, response: httpx.Response) -> None:
        if response.is_success:
            return
        try:
            detail = ErrorAnswer.model_validate_json(response.content).error
            message, code = detail.message, detail.code
        except ValidationError:
            message, code = f"the server answered {response.status_code} {response.reason_phrase}.", ""
        raise Refused(f"{request.subject}{message}", code, response.status_code)

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        reason = "it took too long" if isinstance(error, httpx.TimeoutException) else error
        return Unreachable(
            f"No server answers at {self.url} ({reason}): start one with daco-serve run, or name it with --url."
        )


def _size(photograph: Photograph) -> int:
    """Bytes of its file."""
    if isinstance(photograph, bytes):
        return len(photograph)
    try:
        return Path(photograph).stat().st_size
    except OSError as error:
        raise DacoError(f"{photograph} cannot be read: {error.strerror}.") from error


def read_photograph(photograph: Photograph) -> tuple[str, bytes]:
    """Name, empty for bytes, and content."""
    if isinstance(photograph, bytes):
        return "", photograph
    try:
        return str(photograph), Path(photograph).read_bytes()
    except OSError as error:
        raise DacoError(f"{photograph} cannot be read: {error.strerror}.") from error


def batch_items(batch: BatchAnswer) -> Iterator[QueryAnswer | Refused]:
    for item in batch.answers:
        if item.answer is not None:
            yield item.answer
        elif item.error is not None:
            yield Refused(f"{item.name}: {item.error.message}", item.error.code, None)


def image_request(match: Match, width: int | None) -> Request:
    address = httpx.URL(match.image)
    parameters: dict[str, str | int] = dict(address.params)
    if width is not None:
        parameters["width"] = width
    return Request("GET", address.path, parameters)


def retry_delay(response: httpx.Response) -> float | None:
    """Seconds after which to try again; None where that would not help."""
    if response.status_code not in (429, 503):
        return None
    stated = response.headers.get("Retry-After", "")
    return max(SHORTEST_WAIT_SECONDS, float(stated) if stated.isdecimal() else 1.0)
