"""Admission of uploads: places and memory, shared between clients so that none can take them from the others."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from starlette.requests import HTTPConnection, Request

from daco_serve.http.middleware.rates import client_of
from daco_serve.http.refusals import Refusal
from daco_serve.operation import metrics
from daco_serve.operation.settings import ServeSettings

STALLED_SECONDS = 1.0  # without data, after which an upload gives way to a request that needs its place
SILENT_SECONDS = 10.0  # without data, after which an upload ends in any case; also the time before a rate is measured


class Place:
    """A request's place among those being processed, and the bytes of its upload.

    Args:
        client: its owner: a key's name or an address.
    """

    def __init__(self, admission: "Admission", client: str) -> None:
        self._admission = admission
        self.client = client
        self.held = 0
        self.heard = time.monotonic()
        self._leaves_for: Refusal | None = None
        self._deadline: asyncio.Timeout | None = None

    @property
    def uploads(self) -> bool:
        """Whether its upload is not complete yet, so that it may be ended."""
        return self._deadline is not None and not self._deadline.expired() and self._leaves_for is None

    @property
    def is_stalled(self) -> bool:
        """Whether no data has come for a while."""
        return time.monotonic() - self.heard > STALLED_SECONDS

    @asynccontextmanager
    async def reading(self, request: Request, seconds: float, weight: int = 1) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body while it arrives; its bytes are counted until the place is released.

        Args:
            seconds: time limit for the whole body.
            weight: bytes of memory that one byte of the body will need.

        Raises:
            Refusal: it arrives too slowly, or has to give way to other uploads.
        """
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout_at(begun + seconds) as self._deadline:
                yield self._parts(request, self._deadline, begun, seconds, weight)
        except TimeoutError as error:
            if self._leaves_for is not None:
                raise self._leaves_for from error
            if asyncio.get_running_loop().time() >= begun + seconds:
                why = f"The photograph did not arrive within {seconds:g} seconds."
            else:
                why = f"The upload stalled, or was slower than {self._admission.least_rate} bytes per second."
            raise Refusal("upload_too_slow", why) from error
        finally:
            self._deadline = None

    async def _parts(
        self, request: Request, deadline: asyncio.Timeout, begun: float, seconds: float, weight: int
    ) -> AsyncIterator[bytes]:
        loop, received = asyncio.get_running_loop(), 0
        self.heard = time.monotonic()
        deadline.reschedule(min(begun + seconds, loop.time() + SILENT_SECONDS))
        async for part in request.stream():
            if self._leaves_for is not None:
                raise self._leaves_for
            self.heard = time.monotonic()
            received += len(part)
            slowest = begun + SILENT_SECONDS + received / self._admission.least_rate
            deadline.reschedule(min(begun + seconds, slowest, loop.time() + SILENT_SECONDS))
            self._admission.take(self, len(part) * weight)
            yield part

    def leave(self, refusal: Refusal) -> None:
        """Ends the upload; the reason is sent to the client."""
        assert self._deadline is not None
        self._leaves_for = refusal
        self._deadline.reschedule(0.0)


class Stream(Place):
    """The bytes held for a WebSocket: of an incoming message, or of waiting frames.

    It takes none of the places, but gives way to the uploads of others like an upload.

    Args:
        end: frees the bytes; the reason is sent to the client.
    """

    def __init__(self, admission: "Admission", client: str, end: Callable[[Refusal], None]) -> None:
        super().__init__(admission, client)
        self._end = end
        self.gives_way = False

    @property
    def uploads(self) -> bool:
        return self.gives_way

    def leave(self, refusal: Refusal) -> None:
        self.gives_way = False
        self._end(refusal)


class Admission:
    """The places of one worker, and the memory for all its uploads.

    As long as they are free, one client may take all. When none is free, a new request gets the place of an upload that
    has stalled, or else of a client that has at least two places more; the same holds for memory.
    """

    def __init__(self, settings: ServeSettings) -> None:
        self._most = settings.max_waiting
        self._most_bytes = settings.upload_memory
        self.least_rate = settings.upload_rate
        self._places: set[Place] = set()
        self._streams: set[Stream] = set()
        self._held = 0

    @contextmanager
    def place(self, request: HTTPConnection) -> Iterator[Place]:
        """A place for a request, until its answer is ready.

        Raises:
            Refusal: none is free, and none has to give way.
        """
        place = Place(self, client_of(request.scope))
        if len(self._places) >= self._most:
            self._make_place(place.client)
        self._places.add(place)
        try:
            with metrics.in_work.track_inprogress():
                yield place
        finally:
            self._release(place)

    def hold(self, connection: HTTPConnection, size: int, end: Callable[[Refusal], None]) -> Stream:
        """Counts the bytes of a waiting frame, until `let_go`.

        Args:
            end: called when it has to give way.

        Raises:
            Refusal: there is no memory for them, and no upload has to give way.
        """
        waiting = Stream(self, client_of(connection.scope), end)
        self.resize(waiting, size, True)
        return waiting

    def resize(self, stream: Stream, size: int, gives_way: bool) -> None:
        """Updates the number of bytes that a stream holds.

        Args:
            gives_way: whether it can be asked to free them.

        Raises:
            Refusal: there is no memory for them, and no other upload has to give way; none of its bytes are counted
                then.
        """
        self._streams.add(stream)
        stream.gives_way = gives_way
        stream.heard = time.monotonic()
        try:
            if size > stream.held:
                self.take(stream, size - stream.held)
            else:
                self._count(size - stream.held)
                stream.held = size
        except Refusal:
            self._release(stream)
            raise

    def let_go(self, stream: Stream) -> None:
        """Releases everything that a stream holds."""
        self._release(stream)

    def take(self, place: Place, size: int) -> None:
        """Counts bytes of an upload.

        Raises:
            Refusal: there is no memory for them, and no other upload has to give way.
        """
        while self._held + size > self._most_bytes:
            self._make_room(place)
        place.held += size
        self._count(size)

    def _make_place(self, client: str) -> None:
        places = Counter(place.client for place in self._places)
        leaving = max(
            (
                place
                for place in self._places
                if place.uploads and (place.is_stalled or places[place.client] > places[client] + 1)
            ),
            key=lambda place: (place.is_stalled, places[place.client], -place.heard),
            default=None,
        )
        if leaving is None:
            raise Refusal("too_busy")
        self._send_away(leaving, Refusal("upload_gave_way", headers={"Connection": "close"}))

    def _make_room(self, asking: Place) -> None:
        everything = [*self._places, *self._streams]
        places, held = Counter(place.client for place in everything), Counter[str]()
        for place in everything:
            held[place.client] += place.held
        leaving = max(
            (place for place in everything if place.uploads and place.held and place is not asking),
            key=lambda place: (place.is_stalled, places[place.client] > 1, held[place.client], place.held),
            default=None,
        )
        # a steady upload that is its client's only one may complete, so that at least the first ones are answered
        if leaving is None or not (
            leaving.is_stalled or (places[leaving.client] > 1 and held[leaving.client] > held[asking.client])
        ):
            raise Refusal("upload_memory_full", headers={"Connection": "close"})
        self._send_away(leaving, Refusal("upload_gave_way", headers={"Connection": "close"}))

    def _send_away(self, place: Place, refusal: Refusal) -> None:
        place.leave(refusal)
        self._release(place)

    def _release(self, place: Place) -> None:
        self._places.discard(place)
        if isinstance(place, Stream):
            self._streams.discard(place)
        self._count(-place.held)
        place.held = 0

    def _count(self, size: int) -> None:
        self._held += size
        metrics.upload_bytes.inc(size)
