"""Shares worker threads fairly between clients, so that a client with many requests does not delay the others."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class FairTurns:
    """Runs work in threads. The next client is the one with the least work running, then the one served longest ago.

    One client has at most `threads` at a time, and there is one more thread, so that a second client can always begin
    immediately.
    """

    def __init__(self, threads: int) -> None:
        self._most_each = threads
        self._free = threads + 1
        self._threads = ThreadPoolExecutor(threads + 1, thread_name_prefix="decode")
        self._running: Counter[str] = Counter()
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._begun = 0
        self._last: dict[str, int] = {}  # for each present client, the number of its last turn

    async def run(self, client: str, work: Callable[[], Result]) -> Result:
        """Waits for the client's turn, and returns what `work` returns; to be called in one event loop."""
        await self._turn(client)
        loop = asyncio.get_running_loop()
        try:
            running = self._threads.submit(work)
        except BaseException:
            self._end(client)
            raise
        # not when it is cancelled: a thread finishes what it has begun
        running.add_done_callback(lambda _: _call(loop, self._end, client))
        return await asyncio.wrap_future(running)

    def close(self) -> None:
        """Ends the threads after their current work."""
        self._threads.shutdown(wait=False)

    async def _turn(self, client: str) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        self._begin()
        try:
            await turn
        except BaseException:
            if turn.done() and not turn.cancelled():
                self._end(client)  # cancelled at the moment at which its turn began
            else:
                self._forget(client, turn)
            raise

    def _begin(self) -> None:
        while self._free > 0:
            able = (client for client in self._waiting if self._running[client] < self._most_each)
            client = min(able, key=lambda client: (self._running[client], self._last.get(client, 0)), default=None)
            if client is None:
                return
            turns = self._waiting[client]
            turn = turns.popleft()
            if not turns:
                del self._waiting[client]
            if not turn.done():
                self._begun += 1
                self._last[client] = self._begun
                self._running[client] += 1
                self._free -= 1
                turn.set_result(None)

    def _end(self, client: str) -> None:
        self._free += 1
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
            if client not in self._waiting:
                self._last.pop(client, None)
        self._begin()

    def _forget(self, client: str, turn: "asyncio.Future[None]") -> None:
        turns = self._waiting.get(client)
        if turns is not None and turn in turns:
            turns.remove(turn)
            if not turns:
                del self._waiting[client]
        if client not in self._waiting and client not in self._running:
            self._last.pop(client, None)


def _call(loop: asyncio.AbstractEventLoop, function: Callable[[str], None], client: str) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(function, client)
