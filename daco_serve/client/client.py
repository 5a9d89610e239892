"""Queries a running server from Python: `Client`, and `AsyncClient` for asyncio; typed, and quick to import.

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
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING

from daco_serve.client.httpx_library import httpx
from daco_serve.client.protocol import (
    ClientBase,
    Photograph,
    Refused,
    Request,
    batch_items,
    image_request,
    retry_delay,
)
from daco_serve.http.schemas import BatchAnswer, IndexAnswer, IndexesAnswer, Match, Prior, QueryAnswer, RequestLimits

if TYPE_CHECKING:
    from daco_serve.client.track import TrackFrame
    from daco_serve.http.track_schemas import SequenceAnswer, SequenceRequest, SmoothedTrack, TrackAnswer, TrackSettings

IN_FLIGHT = 4  # batches that AsyncClient has under way


class Client(ClientBase):
    """Asks a server; use it as a context, or `close` it.

    A request that the server has no room for (429, 503) is sent again at the time that the server states (Retry-After).

    Args:
        url: of the server.
        key: an API key, for a server that requires one.
        index: the name of the index to search; None for the server's first.
        timeout: seconds to wait for one answer.
        patience: seconds to wait in all, for one request, until the server has room.

    Raises:
        UsageError: the address or the key is invalid.
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
            photograph: an image file, or its bytes.
            k: number of matches; None for the server's default.
            prior: where to search; None for everywhere.
            rerank: number of candidates to re-rank by local descriptors, 0 for none; None for the server's default.
            cells: include, for each match, the cells that agree with the photograph's.

        Raises:
            Refused: the server rejects it; the message says why.
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
        """For each photograph, in order, the result of `query`, or the reason why the server rejected it.

        Sends several in one request, as many as the server accepts, and reads each file only when it is sent.

        Raises:
            Refused, Unreachable, DacoError: see `query`; raised if a complete request fails, not one photograph.
        """
        parameters = self._parameters(k, prior, rerank, cells)
        for request in self._batches(photographs, parameters, self.limits()):
            if isinstance(request, Refused):
                yield request
            else:
                yield from batch_items(self._answer(request, self._send(request), BatchAnswer))

    def track(
        self, frames: "Iterable[Photograph | TrackFrame]", settings: "TrackSettings | None" = None
    ) -> "Iterator[TrackAnswer | SmoothedTrack | Refused]":
        """Follows one camera: for each frame, in order, where it is; see `daco_serve.client.track.track`."""
        from daco_serve.client.track import track

        return track(self, frames, settings)

    def query_sequence(
        self, frames: "Iterable[Photograph | TrackFrame]", settings: "SequenceRequest | None" = None
    ) -> "SequenceAnswer":
        """Where one camera was in each of some frames, estimated from all frames together.

        Args:
            frames: in their order, at most as many as the server accepts in one request (`limits().batch_photographs`);
                `track` follows longer sequences.
            settings: speed, seconds between two frames, and others; its `frames` are set from those given.

        Raises: see `query`; and UsageError if there are too many frames.
        """
        from daco_serve.client.track import sequence_request
        from daco_serve.http.track_schemas import SequenceAnswer

        request = sequence_request(frames, settings, self.index, self.limits())
        return self._answer(request, self._send(request), SequenceAnswer)

    def indexes(self) -> list[IndexAnswer]:
        """The indexes of the server. Raises the errors of `query`."""
        return self._overview().indexes

    def limits(self) -> RequestLimits:
        """What the server accepts in one request; requested only once. Raises the errors of `query`."""
        if self._limits is None:
            self._limits = self._overview().limits
        return self._limits

    def _overview(self) -> IndexesAnswer:
        request = Request("GET", "/v1/indexes", {})
        return self._answer(request, self._send(request), IndexesAnswer)

    def reference_image(self, match: Match, width: int | None = None) -> bytes:
        """The photograph of a match: its file, or a JPEG at most so many pixels wide. Raises as `query`."""
        request = image_request(match, width)
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
            wait = retry_delay(response)
            if wait is None or wait > patience:
                return response
            patience -= wait
            time.sleep(wait)


class AsyncClient(ClientBase):
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
        """Like `Client.query_many`, for `async for`; keeps several requests in flight, and their files in memory.

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
        return list(batch_items(self._answer(request, await self._send(request), BatchAnswer)))

    def track(
        self,
        frames: "Iterable[Photograph | TrackFrame] | AsyncIterable[Photograph | TrackFrame]",
        settings: "TrackSettings | None" = None,
    ) -> "AsyncIterator[TrackAnswer | SmoothedTrack | Refused]":
        """Like `Client.track`; frames may be yielded while they are taken."""
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
        request = image_request(match, width)
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
            wait = retry_delay(response)
            if wait is None or wait > patience:
                return response
            patience -= wait
            await asyncio.sleep(wait)
