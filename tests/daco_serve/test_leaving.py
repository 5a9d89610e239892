"""Work is cancelled when the client disconnects."""

import asyncio
import sys
import threading
import time
from pathlib import Path

import pytest
from fastapi import Request
from starlette.requests import ClientDisconnect
from starlette.types import Message

from daco_serve.engine.batching import Batcher
from daco_serve.engine.service import Service
from daco_serve.http.routes.concurrency import unless_left
from daco_serve.operation.settings import ServeSettings


def test_the_photograph_of_a_client_that_left_is_removed_from_the_queue() -> None:
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


def test_the_bytes_of_a_client_that_left_while_waiting_for_a_thread_are_freed(index: Path) -> None:
    service = Service(ServeSettings(index=(str(index),), device="cpu"))
    service.load()
    free = threading.Event()
    upload = bytes(1000)
    before = sys.getrefcount(upload)

    async def leave() -> None:
        for _ in range(service.settings.threads):
            asyncio.create_task(service.decoding.run("", lambda: free.wait(20)))  # noqa: RUF006
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(service.answer(service.live, upload, 1, time.perf_counter()), 0.2)

    try:
        asyncio.run(leave())
        assert sys.getrefcount(upload) == before
    finally:
        free.set()
        service.close()
