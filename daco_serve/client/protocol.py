"""What both clients have in common: requests made from arguments, and answers or errors made from responses."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from daco_core.errors import DacoError, UsageError, reason_of
from daco_serve.client.httpx_library import httpx
from daco_serve.http.schemas import BatchAnswer, ErrorAnswer, Match, Prior, QueryAnswer, RequestLimits

TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 120.0
SHORTEST_WAIT_SECONDS = 0.1  # before a request is repeated, even if the server allows less
BATCH_PHOTOGRAPHS, BATCH_BYTES = 8, 32 * 2**20  # the most per request, unless the server accepts less

Photograph = Path | str | bytes
Answer = TypeVar("Answer", bound=BaseModel)


class Refused(DacoError):
    """The server answered with an error.

    Args:
        code: identifies the kind of error for programs, such as `not_an_image`; empty if the response had none.
        status: the HTTP status; None for one photograph of a batch, if the request itself succeeded.
    """

    def __init__(self, message: str, code: str, status: int | None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class Unreachable(DacoError):
    """There is no server, or it is not a daco-serve server."""


@dataclass(frozen=True)
class Request:
    """A request of either client. Messages of errors begin with `subject`."""

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
    """What both clients have in common.

    Args:
        url: address of the server.
        key: sent with every request, if the server requires one.
        index: name of the index to query; None for the server's default.
        timeout: seconds until a request without a response fails.
        patience: seconds for which a request is repeated while the server is too busy.

    Raises:
        UsageError: the address or the key cannot be used.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        key: str | None = None,
        index: str | None = None,
        timeout: float = TIMEOUT_SECONDS,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise UsageError(f"{url} is not the address of a server: it must begin with http:// or https://.")
        try:
            host = httpx.URL(url).host
        except httpx.InvalidURL as error:
            raise UsageError(f"{url} is not the address of a server: {error}.") from error
        if not host:
            raise UsageError(f"{url} is not the address of a server: it does not name a host.")
        if key and not (key.isascii() and key.isprintable()):
            raise UsageError("The key contains characters that keys never contain: copy it again.")
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
        """Batches of photographs as requests, in order; `Refused` in place of each photograph that is too large."""
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
            raise Unreachable(f"The server at {self.url} is not a daco-serve server.") from error

    def _check(self, request: Request, response: httpx.Response) -> None:
        if response.is_success:
            return
        try:
            detail = ErrorAnswer.model_validate_json(response.content).error
            message, code = detail.message, detail.code
        except ValidationError:
            message, code = f"the server responded with {response.status_code} {response.reason_phrase}.", ""
        raise Refused(f"{request.subject}{message}", code, response.status_code)

    def _unreachable(self, error: httpx.TransportError) -> Unreachable:
        reason = "it took too long" if isinstance(error, httpx.TimeoutException) else error
        return Unreachable(
            f"No server responds at {self.url} ({reason}): start one with daco-serve run, or name another with --url."
        )


def _size(photograph: Photograph) -> int:
    """The size of a photograph's file in bytes."""
    if isinstance(photograph, bytes):
        return len(photograph)
    try:
        return Path(photograph).stat().st_size
    except OSError as error:
        raise DacoError(f"{photograph} cannot be read: {reason_of(error)}.") from error


def read_photograph(photograph: Photograph) -> tuple[str, bytes]:
    """The name of a photograph's file (empty if bytes are given) and its content."""
    if isinstance(photograph, bytes):
        return "", photograph
    try:
        return str(photograph), Path(photograph).read_bytes()
    except OSError as error:
        raise DacoError(f"{photograph} cannot be read: {reason_of(error)}.") from error


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
    """Seconds after which to repeat a request; None if repeating it would not help."""
    if response.status_code not in (429, 503):
        return None
    stated = response.headers.get("Retry-After", "")
    return max(SHORTEST_WAIT_SECONDS, float(stated) if stated.isdecimal() else 1.0)
