"""Asks a running server, from Python: `Client`, and `AsyncClient` for asyncio; typed, and light to import.

Example:
    >>> with Client("http://127.0.0.1:8000") as client:
    ...     answer = client.query("night.jpg", k=3)
    ...     if answer.location:
    ...         print(answer.location.latitude, answer.location.longitude, answer.location.uncertainty_metres)
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from daco_core.errors import DacoError, UsageError
from daco_serve.http.schemas import (
    BatchAnswer,
    ErrorAnswer,
    IndexAnswer,
    IndexesAnswer,
    Match,
    Prior,
    QueryAnswer,
    RequestLimits,
)

if TYPE_CHECKING:
    from daco_serve.client.track import TrackFrame
    from daco_serve.http.track_schemas import SequenceAnswer, SequenceRequest, SmoothedTrack, TrackAnswer, TrackSettings

TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 120.0
SHORTEST_WAIT_SECONDS = 0.1  # before a request is sent again, whatever the server says
BATCH_PHOTOGRAPHS, BATCH_BYTES = 8, 32 * 2**20  # of one request, if the server accepts so much
IN_FLIGHT = 4  # batches that AsyncClient has under way

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


class _Shared:
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
            httpx.URL(url)
        except httpx.InvalidURL as error:
            raise UsageError(f"{url} is not the address of a server: {error}.") from error
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


class Client(_Shared):
    """Asks a server; use it as a context, or `close` it.

    A request that the server has no room for now (429, 503) is sent again when the server says (Retry-After).

    Args:
        url: of the server.
        key: what to show to a server that asks for one.
        index: which of its indexes to look in; its first unless given.
        timeout: seconds to wait for one answer.
        patience: seconds to wait in all, for one request, until the server has room.

    Raises:
        UsageError: the address is none, or the key cannot be one.
    """

    @cached_property
    def _http(self) -> httpx.Client:
        return httpx.Client(**self._settings)

    def __enter__(self) -> "Client":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

    def query(
        self,
        photograph: Photograph,
        k: int | None = None,
        prior: Prior | None = None,
        rerank: int | None = None,
        cells: bool = False,
    ) -> QueryAnswer:
        """Where a photograph was taken.

        Args:
            photograph: a JPEG, PNG or WebP file, or its bytes.
            k: how many matches; the server's default unless given.
            prior: where to look; everywhere unless given.
            rerank: how many candidates are ranked again by their local descriptors, 0 for none; the server's default
                unless given.
            cells: whether each match says which of its cells agree with the photograph's.

        Raises:
            Refused: the server does not take it, with the reason.
            Unreachable: there is no server.
            DacoError: the file cannot be read.
        """
        request = self._query(photograph, k, prior, rerank, cells)
        return self._answer(request, self._send(request), QueryAnswer)

    def query_many(
        self,
        photographs: Iterable[Photograph],
        k: int | None = None,
        prior: Prior | None = None,
        rerank: int | None = None,
        cells: bool = False,
    ) -> Iterator[QueryAnswer | Refused]:
        """For each photograph, in order, what `query` would say of it, or why it was refused.

        Sends some at a time, as many as the server accepts in one request, and reads their files only then.

        Raises:
            Refused, Unreachable, DacoError: as `query`, where not one photograph but the whole request fails.
        """
        parameters = self._parameters(k, prior, rerank, cells)
        for request in self._batches(photographs, parameters, self.limits()):
            if isinstance(request, Refused):
                yield request
            else:
                yield from _items(self._answer(request, self._send(request), BatchAnswer))

    def track(
        self, frames: "Iterable[Photograph | TrackFrame]", settings: "TrackSettings | None" = None
    ) -> "Iterator[TrackAnswer | SmoothedTrack | Refused]":
        """Follows one camera: for each frame, in order, where it is; see `daco_serve.client.track.track`."""
        from daco_serve.client.track import track

        return track(self, frames, settings)

    def query_sequence(
        self, frames: "Iterable[Photograph | TrackFrame]", settings: "SequenceRequest | None" = None
    ) -> "SequenceAnswer":
        """Where one camera was in each of some frames, as all of them say together.

        Args:
            frames: in their order, at most as many as the server accepts in one request (`limits().batch_photographs`);
                `track` follows longer sequences.
            settings: speed, and seconds between two frames; its `frames` are made of those given.

        Raises: as `query`, and UsageError where there are too many frames.
        """
        from daco_serve.client.track import sequence_request
        from daco_serve.http.track_schemas import SequenceAnswer

        request = sequence_request(frames, settings, self.index, self.limits())
        return self._answer(request, self._send(request), SequenceAnswer)

    def indexes(self) -> list[IndexAnswer]:
        """The indexes of the server. Raises as `query`."""
        return self._overview().indexes

    def limits(self) -> RequestLimits:
        """What the server accepts in one request; asked once. Raises as `query`."""
        if self._limits is None:
            self._limits = self._overview().limits
        return self._limits

    def _overview(self) -> IndexesAnswer:
        request = Request("GET", "/v1/indexes", {})
        return self._answer(request, self._send(request), IndexesAnswer)

    def reference_image(self, match: Match, width: int | None = None) -> bytes:
        """The photograph of a match: its file, or a JPEG at most so many pixels wide. Raises as `query`."""
        request = _image_request(match, width)
        response = self._send(request)
        self._check(request, response)
        return response.content

    def _send(self, request: Request) -> httpx.Response:
        patience = self.patience
        while True:
            try:
                response = self._http.request(**request.arguments())
            except httpx.TransportError as error:
                raise self._unreachable(error) from error
            wait = _wait(response)
            if wait is None or wait > patience:
                return response
            patience -= wait
            time.sleep(wait)


class AsyncClient(_Shared):
    """`Client` for asyncio: the same methods, awaited. Raises as `Client`."""

    @cached_property
    def _http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(**self._settings)

    async def __aenter__(self) -> "AsyncClient":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes its connections."""
        await self._http.aclose()

    async def query(
        self,
        photograph: Photograph,
        k: int | None = None,
        prior: Prior | None = None,
        rerank: int | None = None,
        cells: bool = False,
    ) -> QueryAnswer:
        """As `Client.query`."""
        request = await asyncio.to_thread(self._query, photograph, k, prior, rerank, cells)
        return self._answer(request, await self._send(request), QueryAnswer)

    async def query_many(
        self,
        photographs: Iterable[Photograph],
        k: int | None = None,
        prior: Prior | None = None,
        in_flight: int = IN_FLIGHT,
        rerank: int | None = None,
        cells: bool = False,
    ) -> AsyncIterator[QueryAnswer | Refused]:
        """As `Client.query_many`, for `async for`; has so many requests in flight at once, and their files in memory.

        The photographs are taken from their iterable, and read, in a thread.
        """
        requests = self._batches(photographs, self._parameters(k, prior, rerank, cells), await self.limits())
        under_way: deque[asyncio.Task[list[QueryAnswer | Refused]]] = deque()
        try:
            while True:
                while len(under_way) < in_flight:
                    request = await asyncio.to_thread(next, requests, None)
                    if request is None:
                        break
                    under_way.append(asyncio.create_task(self._answers(request)))
                if not under_way:
                    return
                for answer in await under_way.popleft():
                    yield answer
        finally:
            for task in under_way:
                task.cancel()
            await asyncio.gather(*under_way, return_exceptions=True)

    async def _answers(self, request: Request | Refused) -> list[QueryAnswer | Refused]:
        if isinstance(request, Refused):
            return [request]
        return list(_items(self._answer(request, await self._send(request), BatchAnswer)))

    def track(
        self,
        frames: "Iterable[Photograph | TrackFrame] | AsyncIterable[Photograph | TrackFrame]",
        settings: "TrackSettings | None" = None,
    ) -> "AsyncIterator[TrackAnswer | SmoothedTrack | Refused]":
        """As `Client.track`; frames may come as they are taken."""
        from daco_serve.client.track import track_async

        return track_async(self, frames, settings)

    async def query_sequence(
        self, frames: "Iterable[Photograph | TrackFrame]", settings: "SequenceRequest | None" = None
    ) -> "SequenceAnswer":
        """As `Client.query_sequence`."""
        from daco_serve.client.track import sequence_request
        from daco_serve.http.track_schemas import SequenceAnswer

        request = await asyncio.to_thread(sequence_request, frames, settings, self.index, await self.limits())
        return self._answer(request, await self._send(request), SequenceAnswer)

    async def indexes(self) -> list[IndexAnswer]:
        """As `Client.indexes`."""
        return (await self._overview()).indexes

    async def limits(self) -> RequestLimits:
        """As `Client.limits`."""
        if self._limits is None:
            self._limits = (await self._overview()).limits
        return self._limits

    async def _overview(self) -> IndexesAnswer:
        request = Request("GET", "/v1/indexes", {})
        return self._answer(request, await self._send(request), IndexesAnswer)

    async def reference_image(self, match: Match, width: int | None = None) -> bytes:
        """As `Client.reference_image`."""
        request = _image_request(match, width)
        response = await self._send(request)
        self._check(request, response)
        return response.content

    async def _send(self, request: Request) -> httpx.Response:
        patience = self.patience
        while True:
            try:
                response = await self._http.request(**request.arguments())
            except httpx.TransportError as error:
                raise self._unreachable(error) from error
            wait = _wait(response)
            if wait is None or wait > patience:
                return response
            patience -= wait
            await asyncio.sleep(wait)


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


def _items(batch: BatchAnswer) -> Iterator[QueryAnswer | Refused]:
    for item in batch.answers:
        if item.answer is not None:
            yield item.answer
        elif item.error is not None:
            yield Refused(f"{item.name}: {item.error.message}", item.error.code, None)


def _image_request(match: Match, width: int | None) -> Request:
    address = httpx.URL(match.image)
    parameters: dict[str, str | int] = dict(address.params)
    if width is not None:
        parameters["width"] = width
    return Request("GET", address.path, parameters)


def _wait(response: httpx.Response) -> float | None:
    """Seconds after which to try again; None where that would not help."""
    if response.status_code not in (429, 503):
        return None
    stated = response.headers.get("Retry-After", "")
    return max(SHORTEST_WAIT_SECONDS, float(stated) if stated.isdecimal() else 1.0)
