"""The places for cameras that a worker tracks at the same time, shared between clients."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from daco_serve.http.refusals import Refusal
from daco_serve.operation import metrics


class TrackPlace:
    """One camera's place among those that a worker tracks.

    Args:
        client: its owner: a key's name or an address.
    """

    def __init__(self, client: str) -> None:
        self.client = client
        self.taken_back = asyncio.Event()


class Tracks:
    """The cameras that a worker tracks.

    As long as there are free places, one client may take all. When none is free, a new client gets the newest place of
    the client with the most places, if that client has at least two more than it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._places: list[TrackPlace] = []

    @contextmanager
    def one(self, client: str) -> Iterator[TrackPlace]:
        """A place for a camera, for the duration of a context.

        Raises:
            Refusal: none is free, and none has to be given back.
        """
        if len(self._places) >= self._most:
            self._take_one_back(client)
        place = TrackPlace(client)
        self._places.append(place)
        try:
            with metrics.tracks.track_inprogress():
                yield place
        finally:
            self._release(place)

    def _take_one_back(self, client: str) -> None:
        count = Counter(place.client for place in self._places)
        greedy = max(count, key=lambda name: count[name])
        if count[greedy] <= count[client] + 1:
            raise Refusal("too_busy", f"The server already tracks {self._most} cameras: try again later.")
        newest = next(place for place in reversed(self._places) if place.client == greedy)
        newest.taken_back.set()
        self._release(newest)

    def _release(self, place: TrackPlace) -> None:
        if place in self._places:
            self._places.remove(place)
