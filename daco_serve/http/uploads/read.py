"""Reads the photographs of a request, with limits that are checked while it arrives."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

from fastapi import Request

from daco_serve.http.refusals import Refusal
from daco_serve.http.uploads.admission import Place
from daco_serve.http.uploads.form import OTHER_BYTES, FormFile, FormReader
from daco_serve.operation.settings import ServeSettings

FIELD = "image"
DRAIN_FACTOR = 4  # how many times the limit is read and discarded, so that the client sees the error while it sends
DRAIN_SECONDS = 5.0


@dataclass(frozen=True)
class Upload:
    """One photograph of several: its file name as sent, its bytes, and why it is rejected, if it is."""

    name: str | None
    content: bytes
    refusal: Refusal | None = None


async def read_upload(request: Request, place: Place, max_bytes: int, seconds: float) -> bytes:
    """The photograph in a request: the form field `image`, or the body.

    The size is checked while the bytes arrive, whatever Content-Length says.

    Raises:
        Refusal: there is no photograph, it is too large or too slow, or the form is invalid.
    """
    too_large = Refusal("image_too_large", f"The photograph is larger than {max_bytes} bytes: send a smaller one.")
    if _is_form(request):
        files, _ = await _read_form(request, place, 1, max_bytes, too_large, seconds)
        data = bytes(_photographs(files)[0].content)
        if len(data) > max_bytes:
            raise too_large
    else:
        data = await read_body(request, place, max_bytes, too_large, seconds)
    if not data:
        raise Refusal("no_image")
    return data


async def read_body(
    request: Request, place: Place, max_bytes: int, too_large: Refusal, seconds: float, weight: int = 1
) -> bytes:
    """Reads the complete body.

    Args:
        weight: bytes of memory that one of its bytes will need.

    Raises:
        Refusal: it is too large, too slow, or has to give way.
    """
    await _refuse_stated(request, max_bytes, too_large)
    received: list[bytes] = []
    try:
        async with place.reading(request, seconds, weight) as parts:
            async for part in _limited(request, parts, max_bytes, too_large):
                received.append(part)
        return b"".join(received)
    finally:
        received.clear()


async def read_uploads(
    request: Request, place: Place, settings: ServeSettings, field: str | None = None
) -> tuple[list[Upload], bytes]:
    """The photographs in the form fields `image`, in order; a photograph that is too large is rejected singly.

    Args:
        field: a further field, sent as text or as a file; its contents are returned second, empty if it is missing.

    Raises:
        Refusal: it is not a form, there are none or too many, or all together are too large or too slow.
    """
    most, max_bytes, seconds = settings.max_images, settings.max_batch_bytes, settings.upload_seconds
    if not _is_form(request):
        raise Refusal("bad_form", f"Send several photographs as a form: curl -F {FIELD}=@one.jpg -F {FIELD}=@two.jpg")
    too_large = Refusal("image_too_large", f"The photographs are larger than {max_bytes} bytes in all: send fewer.")
    files, fields = await _read_form(request, place, most + (field is not None), max_bytes, too_large, seconds)
    photographs = _photographs(files)
    if len(photographs) > most:
        raise Refusal("bad_form", f"Too many photographs: one request may have {most}.")
    content = b"".join(bytes(file.content) for file in files if file.field_name == field)
    content = content or bytes(fields.get(field or "", b""))
    if len(content) > OTHER_BYTES:
        raise Refusal("json_too_large", f"The field '{field}' has more than {OTHER_BYTES} bytes.")
    return [_one_of_several(file, settings.max_upload_bytes) for file in photographs], content


async def _read_form(
    request: Request, place: Place, most: int, max_bytes: int, too_large: Refusal, seconds: float
) -> tuple[list[FormFile], dict[str, bytearray]]:
    limit = max_bytes + OTHER_BYTES
    reader = FormReader(request.headers.get("content-type", ""), most)
    await _refuse_stated(request, limit, too_large)
    try:
        async with place.reading(request, seconds) as parts:
            async for part in _limited(request, parts, limit, too_large):
                reader.write(part)
        fields = reader.fields
        return reader.finish(), fields
    except BaseException:
        reader.drop()
        raise


def _photographs(files: list[FormFile]) -> list[FormFile]:
    photographs = [file for file in files if file.field_name == FIELD]
    if not photographs:
        raise Refusal("no_image", f"The form has no file in the field '{FIELD}': curl -F {FIELD}=@photograph.jpg")
    return photographs


def _one_of_several(file: FormFile, max_bytes: int) -> Upload:
    content, file.content = bytes(file.content), bytearray()  # so that only one photograph is in memory twice
    if len(content) > max_bytes:
        return Upload(file.name, b"", Refusal("image_too_large", f"It is larger than {max_bytes} bytes."))
    return Upload(file.name, content, None if content else Refusal("no_image", "The file is empty."))


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/")


async def _refuse_stated(request: Request, limit: int, too_large: Refusal) -> None:
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > limit:
        await _drain(request, DRAIN_FACTOR * limit)
        raise too_large


async def _limited(
    request: Request, parts: AsyncIterator[bytes], limit: int, too_large: Refusal
) -> AsyncIterator[bytes]:
    received = 0
    async for part in parts:
        received += len(part)
        if received > limit:
            await _drain(request, DRAIN_FACTOR * limit)
            raise too_large
        yield part


async def _drain(request: Request, most: int) -> None:
    """Reads and discards what still arrives: a client that sends everything before it reads would only see a reset."""
    if "expect" in request.headers:
        return  # the client waits for a reply before it sends
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            async for part in request.stream():
                most -= len(part)
                if most < 0:
                    return
    except (TimeoutError, RuntimeError):
        return
