"""How the photographs of one request are worked on: a few at a time, and no longer than the client waits."""

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
AT_ONCE = 4  # photographs of a request that are in work together, so that it leaves room for others


async def answer_each(
    uploads: Sequence[Upload], answer: Callable[[int], Awaitable[Answer]]
) -> list[Answer | ErrorDetail]:
    """The answer to each photograph of a request, in their order; or why there is none.

    Args:
        answer: answers the photograph of a number; not called for those that are refused already.
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
    """Waits for the answer; drops the work if the client goes away first."""
    work = asyncio.create_task(answer)
    leaving = asyncio.ensure_future(request.receive())  # the body is read, so all that can come is the goodbye
    try:
        await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            return work.result()
        raise ClientDisconnect
    finally:
        work.cancel()
        leaving.cancel()
