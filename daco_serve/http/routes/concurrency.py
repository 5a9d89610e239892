"""Processes the photographs of a request, a few at a time, and stops if the client disconnects."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from fastapi import Request
from starlette.requests import ClientDisconnect

from daco_serve.engine.answers import QueryError
from daco_serve.http.refusals import Refusal, forget_frames
from daco_serve.http.schemas import ErrorDetail
from daco_serve.http.uploads.read import Upload

Answer = TypeVar("Answer")
AT_ONCE = 4  # photographs of one request that are processed concurrently; more would delay other clients


async def answer_each(
    uploads: Sequence[Upload], answer: Callable[[int], Awaitable[Answer]]
) -> list[Answer | ErrorDetail]:
    """The answer or the error for each photograph of a request, in their order.

    Args:
        answer: answers the photograph with a given number; not called for photographs that were already rejected.
    """
    room = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, upload: Upload) -> Answer | ErrorDetail:
        async with room:
            try:
                if upload.refusal is not None:
                    raise upload.refusal
                return await answer(number)
            except (Refusal, QueryError) as error:
                forget_frames(error)
                return ErrorDetail(code=error.code, message=error.message)

    async with asyncio.TaskGroup() as group:
        work = [group.create_task(one(number, upload)) for number, upload in enumerate(uploads)]
    return [task.result() for task in work]


async def unless_left(request: Request, answer: Coroutine[Any, Any, Answer]) -> Answer:
    """Waits for the answer, and cancels it if the client disconnects first."""
    work = asyncio.create_task(answer)
    leaving = asyncio.ensure_future(request.receive())  # after the body, only a disconnect can be received
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        work.cancel()
        leaving.cancel()
