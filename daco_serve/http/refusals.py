"""The errors of the HTTP interface: one code, one status and one format for each."""

import errno
from collections.abc import Mapping
from typing import Any, TypeVar

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ValidationError
from starlette.types import Receive, Scope, Send

from daco_serve.http.schemas import ErrorAnswer, ErrorDetail

Model = TypeVar("Model", bound=BaseModel)

# code -> (HTTP status, an example of the message for the OpenAPI document)
REFUSALS: dict[str, tuple[int, str]] = {
    "bad_k": (422, "k must be a whole number from 1 to 100."),
    "bad_rerank": (422, "rerank must be a whole number from 0 to 100."),
    "bad_prior": (422, "prior must be latitude,longitude,metres, such as 35.6586,139.7454,200, or frame:x,y,metres."),
    "prior_holds_nothing": (422, "No reference photograph of day lies within 200 m of 35.6586, 139.7454."),
    "no_image": (422, "The request has no photograph: send it as the field 'image' or as the body."),
    "image_truncated": (422, "The JPEG image is damaged or incomplete: send it again."),
    "image_too_slow": (422, "Decoding takes longer than 10 seconds."),
    "image_too_narrow": (422, "The image is too narrow: 1 x 100000 pixels."),
    "invalid_request": (422, "width: Input should be less than or equal to 2048."),
    "bad_request": (400, "This is not a valid HTTP request."),
    "bad_form": (400, "The multipart body cannot be read: Missing boundary in multipart."),
    "client_left": (400, "The connection was closed before the answer was ready."),
    "upload_too_slow": (408, "The photograph did not arrive within 60 seconds."),
    "image_too_large": (413, "The photograph is larger than 20971520 bytes."),
    "address_too_long": (414, "The address is longer than 8192 bytes."),
    "json_too_large": (413, "The request has more than 262144 bytes beside its photographs."),
    "not_an_image": (415, "This is not an image: send a JPEG, PNG, WebP, TIFF, BMP, AVIF or HEIC."),
    "unsupported_format": (415, "Files of the kind GIF are not supported by this server: send a JPEG, PNG or WebP."),
    "not_acceptable": (
        406,
        "Accept names none of application/json, application/geo+json and application/geopose+json.",
    ),
    "not_located": (422, "The photograph's place is probably not in the index day."),
    "not_found": (404, "There is nothing at this address; /docs lists what there is."),
    "method_not_allowed": (405, "This address does not support GET."),
    "unknown_reference": (404, "The index has no reference photograph 12."),
    "unknown_index": (404, "There is no index 'harbour'; the indexes are day, fog."),
    "reference_gone": (410, "The file of reference photograph 12 was moved, deleted or changed since it was indexed."),
    "reference_away": (503, "The disk with reference photograph 12 does not respond."),
    "key_missing": (401, "This server requires a key: send it as 'Authorization: Bearer KEY'."),
    "key_wrong": (401, "This key is unknown: it was mistyped or removed."),
    "wrong_origin": (403, "Pages of other sites may not query this server; --cors-origin allows one."),
    "wrong_host": (421, "This server answers its own machine only: behind a proxy, start it with --keys or --open."),
    "range_not_satisfiable": (416, "The file ends before this range begins."),
    "head_too_large": (431, "The head of a request may have at most 65536 bytes and 100 fields."),
    "too_many_requests": (429, "No more than 120 of these in 1 minute: try again in 7 s."),
    "too_busy": (503, "The server is busy: try again in a second."),
    "upload_gave_way": (503, "The upload was stopped in favour of other clients: try again in a second."),
    "track_gave_way": (
        503,
        "The track was ended in favour of other clients: try again in a second.",
    ),
    "upload_memory_full": (503, "The server has no memory for further uploads now: try again in a second."),
    "not_ready": (503, "The index is still being loaded: try again in a second."),
    "index_unavailable": (
        503,
        "The index harbour cannot be opened: its files are damaged, incomplete or of a newer version.",
    ),
    "store_away": (503, "The server that stores the index's vectors does not respond: try again in a second."),
    "decoder_failed": (503, "The server cannot decode photographs now; its log has the reason."),
    "encoder_failed": (503, "The encoder of the index fails; the server's log has the reason."),
    "internal_error": (500, "Internal error; the server's log has the details."),
}
NO_THREAD = "can't start new thread"  # Python's message, the only sign of this error
SHORTAGES = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN}
# headers for a status: when to try again; and that the connection closes because the rest of the body is not read
HEADERS = {
    401: {"WWW-Authenticate": 'Bearer realm="daco-serve"'},
    408: {"Connection": "close"},
    413: {"Connection": "close"},
    503: {"Retry-After": "1"},
}


class Refusal(Exception):
    """A request that cannot be answered; the reason is sent to the client.

    Args:
        code: a key of `REFUSALS`.
        message: one sentence: what is wrong, and what to do.
        headers: additional headers, besides those for the status.
    """

    def __init__(self, code: str, message: str | None = None, headers: Mapping[str, str] | None = None) -> None:
        self.code = code
        self.headers = headers or {}
        self.status, example = REFUSALS[code]
        self.message = message or example
        super().__init__(self.message)

    def response(self) -> JSONResponse:
        """The HTTP response."""
        return envelope(self.status, self.code, self.message, {**HEADERS.get(self.status, {}), **self.headers})


def validated(kind: type[Model], given: Mapping[str, Any]) -> Model:
    """Validates the JSON that a client sent.

    Raises:
        Refusal: invalid_request, with the name of the first invalid field.
    """
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise Refusal("invalid_request", f"{name}: {first['msg']}.") from None


def refusal_of_fault(error: BaseException) -> Refusal:
    """The answer for an unexpected error: to try again, if the server ran out of threads, files or memory."""
    if isinstance(error, BaseExceptionGroup):
        refusals = [refusal_of_fault(one) for one in error.exceptions]
        return next((one for one in refusals if one.status == 500), refusals[0])
    short_of_files = isinstance(error, OSError) and error.errno in SHORTAGES
    short_of_threads = isinstance(error, RuntimeError) and str(error).startswith(NO_THREAD)
    return Refusal(
        "too_busy" if short_of_files or short_of_threads or isinstance(error, MemoryError) else "internal_error"
    )


def forget_frames(error: BaseException) -> None:
    """Cuts an error off from where it was raised: else what lies there, such as an upload, stays in memory until the
    next garbage collection, as a frame that holds its own error does."""
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = None
        seen.__cause__, following = None, seen.__cause__ or seen.__context__
        seen.__context__ = None
        seen = following


class _ErrorResponse(JSONResponse):
    """Stores its code in the request, for the log and the metrics."""

    def __init__(self, code: str, content: object, status: int, headers: Mapping[str, str] | None) -> None:
        super().__init__(content, status, headers)
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["refusal"] = self._code
        await super().__call__(scope, receive, send)


def envelope(status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The common format of all errors."""
    answer = ErrorAnswer(error=ErrorDetail(code=code, message=message))
    return _ErrorResponse(code, answer.model_dump(), status, headers)


def documented(*codes: str) -> dict[int | str, dict[str, Any]]:
    """The errors of a route for its OpenAPI document, by status, with an example of each code."""
    responses: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        status, message = REFUSALS[code]
        response = responses.setdefault(
            status, {"model": ErrorAnswer, "description": "", "content": {"application/json": {"examples": {}}}}
        )
        response["description"] = ", ".join(filter(None, [response["description"], code]))
        response["content"]["application/json"]["examples"][code] = {
            "value": {"error": {"code": code, "message": message}}
        }
    return responses
