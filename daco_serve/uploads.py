"""Bytes from a stranger to a safe, upright RGB image, or a clear refusal."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO

from fastapi import Request
from PIL import Image
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from daco_serve.errors import Refusal
from index.embed import MAX_ASPECT
from training.images import to_rgb

FIELD = "image"
FORMATS = ("JPEG", "PNG", "WEBP")
FORM_BYTES = 64 * 2**10  # what a multipart body may hold beside the photograph
DRAIN_FACTOR = 4  # how many times the limit is read and thrown away, so that a client in mid-upload hears the refusal
DRAIN_SECONDS = 5.0

# how the formats that we take begin, and the ones that people send instead: (offset, bytes) to name
TAKEN = {(0, b"\xff\xd8\xff"): "JPEG", (0, b"\x89PNG"): "PNG", (8, b"WEBP"): "WebP"}
NOT_TAKEN = {
    (0, b"GIF8"): "GIF",
    (0, b"BM"): "BMP",
    (0, b"II*\0"): "TIFF or raw",
    (0, b"MM\0*"): "TIFF or raw",
    (4, b"ftypheic"): "HEIC",
    (4, b"ftypmif1"): "HEIC",
    (4, b"ftypavif"): "AVIF",
    (0, b"%PDF"): "PDF",
    (0, b"<svg"): "SVG",
}


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


def decode_upload(data: bytes, max_pixels: int, least_side: int) -> Image.Image:
    """The photograph as upright RGB; of a large JPEG a smaller form, which is decoded several times faster.

    Args:
        max_pixels: width times height; checked from the header, before anything is decoded.
        least_side: pixels that a smaller form's shorter side keeps at least.

    Raises:
        Refusal: it is not an image of a format we take, it is damaged, too large or too narrow.
    """
    kind = _kind(data, TAKEN)
    try:
        with Image.open(BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > max_pixels:
                raise Refusal(
                    "image_too_large",
                    f"{width} x {height} pixels are more than {max_pixels}: send a smaller photograph.",
                )
            if max(width, height) > MAX_ASPECT * min(width, height):
                raise Refusal(
                    "image_too_narrow", f"{width} x {height} pixels are too narrow a picture to know a place by."
                )
            scale = least_side / min(width, height)
            if scale < 1:
                # asks libjpeg for the smallest of its scales (1/2, 1/4, 1/8) that is no smaller than this
                image.draft(image.mode, (math.ceil(width * scale), math.ceil(height * scale)))
            return to_rgb(image)
    except Image.DecompressionBombError as error:
        raise Refusal("image_too_large", f"It has more than {max_pixels} pixels: send a smaller photograph.") from error
    except Refusal:
        raise
    except Exception as error:  # decoders fail in many ways, and no upload may be the server's fault
        if kind is not None:
            raise Refusal(
                "image_truncated", f"The {kind} image is damaged or cut off: send it again, whole."
            ) from error
        foreign = _kind(data, NOT_TAKEN)
        if foreign is not None:
            raise Refusal("unsupported_format", f"{foreign} files are not taken: send a JPEG, PNG or WebP.") from error
        raise Refusal("not_an_image") from error


def _kind(data: bytes, kinds: dict[tuple[int, bytes], str]) -> str | None:
    for (offset, start), name in kinds.items():
        if data.startswith(start, offset):
            return name
    return None


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
