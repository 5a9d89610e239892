"""Work for a client that has gone away is dropped."""

import asyncio
import threading

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from daco_serve.batching import Batcher
from daco_serve.routes.query import unless_left


def test_what_still_waits_for_the_engine_is_taken_out_of_the_queue() -> None:
    free = threading.Event()
    busy = Batcher[int, bool](lambda items: [free.wait(10) for _ in items], max_batch=1)
    busy.submit(0)
    future = busy.submit(1)

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def answer() -> object:
        return await asyncio.wrap_future(future)

    async def leave() -> None:
        with pytest.raises(ClientDisconnect):
            await unless_left(Request({"type": "http"}, receive), answer())  # type: ignore[arg-type]

    try:
        asyncio.run(leave())
        assert future.cancelled()
    finally:
        free.set()
