"""The photograph in a request, counted while it comes in, or a clear refusal."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from daco_serve.http.refusals import Refusal

FIELD = "image"
FORM_BYTES = 64 * 2**10  # what a multipart body may hold beside the photograph
DRAIN_FACTOR = 4  # how many times the limit is read and thrown away, so that a client in mid-upload hears the refusal
DRAIN_SECONDS = 5.0


class _InMemoryParser(MultiPartParser):
    """Keeps photographs of any allowed size in memory: what strangers send is not written to disk."""

    def __init__(self, request: Request, stream: AsyncIterator[bytes], max_bytes: int, max_files: int) -> None:
        self.spool_max_size = max_bytes
        super().__init__(request.headers, stream, max_files=max_files, max_fields=8, max_part_size=FORM_BYTES)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Upload:
    """One photograph of several: the name that its sender gave it, its bytes, and why it is refused already."""

    name: str | None
    content: bytes
    refusal: Refusal | None = None


async def read_upload(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The photograph in a request: the form field `image`, or else the whole body.

    Counts while the bytes come in, whatever Content-Length says.

    Raises:
        Refusal: there is none, it is too large, too slow, or the form is broken.
    """
    is_form = _is_form(request)
    limit = max_bytes + FORM_BYTES if is_form else max_bytes
    too_large = Refusal("image_too_large", f"The photograph is larger than {max_bytes} bytes: send a smaller one.")
    async with _counted(request, limit, too_large, seconds) as stream:
        data = await _read_form(request, stream, limit) if is_form else b"".join([part async for part in stream])
    if len(data) > max_bytes:
        raise too_large
    if not data:
        raise Refusal("no_image")
    return data


async def read_uploads(request: Request, most: int, max_bytes: int, max_each: int, seconds: float) -> list[Upload]:
    """The photographs in the form fields `image`, in their order; one that is too large is refused by itself.

    Args:
        most: how many there may be.
        max_bytes, max_each: of all together, and of one.

    Raises:
        Refusal: it is no form, there are none or too many, all together are too large or too slow.
    """
    if not _is_form(request):
        raise Refusal("bad_form", f"Send several photographs as a form: curl -F {FIELD}=@one.jpg -F {FIELD}=@two.jpg")
    too_large = Refusal("image_too_large", f"The photographs are larger than {max_bytes} bytes in all: send fewer.")
    async with _counted(request, max_bytes + FORM_BYTES, too_large, seconds) as stream:
        form = await _parse_form(_InMemoryParser(request, stream, max_bytes, most))
    files = [part for part in form.getlist(FIELD) if isinstance(part, UploadFile)]
    if not files:
        raise Refusal("no_image", f"The form has no file in the field '{FIELD}': curl -F {FIELD}=@photograph.jpg")
    return [await _one_of_several(file, max_each) for file in files]


async def _one_of_several(file: UploadFile, max_bytes: int) -> Upload:
    content = await file.read()
    if len(content) > max_bytes:
        return Upload(file.filename, b"", Refusal("image_too_large", f"It is larger than {max_bytes} bytes."))
    return Upload(file.filename, content, None if content else Refusal("no_image", "The file is empty."))


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/")


@asynccontextmanager
async def _counted(
    request: Request, limit: int, too_large: Refusal, seconds: float
) -> AsyncIterator[AsyncIterator[bytes]]:
    """The body as it comes in, as long as it is neither too much nor too slow."""
    try:
        if _stated_length(request) > limit:
            await _drain(request, DRAIN_FACTOR * limit)
            raise too_large
        async with asyncio.timeout(seconds):
            yield _limited(request, limit, too_large)
    except TimeoutError as error:
        raise Refusal("upload_too_slow", f"The photograph did not arrive within {seconds:g} seconds.") from error


def _stated_length(request: Request) -> int:
    stated = request.headers.get("content-length", "")
    return int(stated) if stated.isdecimal() else 0


async def _limited(request: Request, limit: int, too_large: Refusal) -> AsyncIterator[bytes]:
    received = 0
    async for part in request.stream():
        received += len(part)
        if received > limit:
            await _drain(request, DRAIN_FACTOR * limit)
            raise too_large
        yield part


async def _drain(request: Request, most: int) -> None:
    """Throws away what still comes in: a client that sends all before it listens would else see only a reset."""
    if "expect" in request.headers:
        return  # it waits for our word before it sends
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in request.stream():
                most -= len(part)
                if most < 0:
                    return
    except (TimeoutError, RuntimeError):
        return


async def _read_form(request: Request, stream: AsyncIterator[bytes], limit: int) -> bytes:
    form = await _parse_form(_InMemoryParser(request, stream, limit, max_files=1))
    photograph = form.get(FIELD)
    if not isinstance(photograph, UploadFile):
        raise Refusal("no_image", f"The form has no file in the field '{FIELD}': curl -F {FIELD}=@photograph.jpg")
    return await photograph.read()


async def _parse_form(parser: MultiPartParser) -> FormData:
    try:
        return await parser.parse()
    except (MultiPartException, ValueError, LookupError) as error:
        reason = error.message if isinstance(error, MultiPartException) else "its header is broken."
        raise Refusal("bad_form", f"The multipart body cannot be read: {reason}") from error
