"""Sends the frames of one camera to a running server, over the WebSocket `/v1/track`, and yields its answers."""

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlencode

from pydantic import BaseModel, ValidationError

from daco_core.errors import MissingExtra, UsageError
from daco_serve.client.protocol import ClientBase, Photograph, Refused, Request, Unreachable, read_photograph
from daco_serve.http.schemas import ErrorAnswer, RequestLimits
from daco_serve.http.track_schemas import (
    FrameHeader,
    SequenceRequest,
    SmoothedTrack,
    TrackAnswer,
    TrackFailure,
    TrackSettings,
    TrackState,
)

ANSWER_SECONDS = 60.0

Tracked = TrackAnswer | SmoothedTrack | Refused


@dataclass(frozen=True)
class TrackFrame:
    """A photograph, and what else is known about it.

    Args:
        photograph: a file, or its bytes.
        header: time, odometry and prior.
    """

    photograph: Photograph
    header: FrameHeader


def track(
    client: ClientBase, frames: Iterable[Photograph | TrackFrame], settings: TrackSettings | None = None
) -> Iterator[Tracked]:
    """Yields the server's answer to each frame, in order; and finally the smoothed track, if the settings ask for it.

    A frame is sent only after the answer to the previous one, so that none is dropped.

    Yields:
        for each frame a TrackAnswer, or Refused if the server cannot use it; finally a SmoothedTrack, if
        `settings.smooth`.

    Raises:
        Refused: the server does not accept this camera; the message says why.
        Unreachable: there is no server, or it ended the track.
        MissingExtra: the package websockets is not installed.
    """
    sync = _websockets("websockets.sync.client")
    settings = settings or TrackSettings()
    with _as_errors(client), sync.connect(_address(client), **_options(client)) as connection:
        connection.send(_message("settings", settings))
        for frame in frames:
            for message in _messages(frame):
                connection.send(message)
            yield _read(connection.recv(timeout=ANSWER_SECONDS))
        if settings.smooth:
            connection.send('{"type": "finish"}')
            yield _read(connection.recv(timeout=ANSWER_SECONDS))


async def track_async(
    client: ClientBase,
    frames: Iterable[Photograph | TrackFrame] | AsyncIterable[Photograph | TrackFrame],
    settings: TrackSettings | None = None,
) -> AsyncIterator[Tracked]:
    """As `track`."""
    asynchronous = _websockets("websockets.asyncio.client")
    settings = settings or TrackSettings()
    with _as_errors(client):
        async with asynchronous.connect(_address(client), **_options(client)) as connection:

            async def answer() -> Tracked:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return _read(await connection.recv())

            await connection.send(_message("settings", settings))
            async for frame in _each(frames):
                for message in await asyncio.to_thread(_messages, frame):
                    await connection.send(message)
                yield await answer()
            if settings.smooth:
                await connection.send('{"type": "finish"}')
                yield await answer()


def final_states(answers: Iterable[Tracked]) -> list[TrackState | Refused]:
    """The final estimate of each frame, from the answers to a complete track: smoothed, if that was requested."""
    states: list[TrackState | Refused] = []
    for answer in answers:
        if isinstance(answer, SmoothedTrack):
            # for the last frames only, if the index has changed in the meantime
            used = [number for number, state in enumerate(states) if isinstance(state, TrackState)]
            for number, state in zip(used[len(used) - len(answer.frames) :], answer.frames, strict=True):
                states[number] = state
        else:
            states.append(answer if isinstance(answer, Refused) else answer.track)
    return states


def sequence_request(
    frames: Iterable[Photograph | TrackFrame],
    settings: SequenceRequest | None,
    index: str | None,
    limits: RequestLimits,
) -> Request:
    """The request of `query_sequence`.

    Raises:
        UsageError: there are no frames, or too many for one request.
    """
    whole = [frame if isinstance(frame, TrackFrame) else TrackFrame(frame, FrameHeader()) for frame in frames]
    if not 0 < len(whole) <= limits.batch_photographs:
        raise UsageError(
            f"One request may have 1 to {limits.batch_photographs} frames, not {len(whole)}; track follows longer"
            " sequences."
        )
    settings = (settings or SequenceRequest()).model_copy(update={"frames": [frame.header for frame in whole]})
    files = []
    for frame in whole:
        name, content = read_photograph(frame.photograph)
        files.append(("image", (name or "photograph", content)))
    files.append(("sequence", ("sequence.json", settings.model_dump_json(exclude_unset=True).encode())))
    return Request("POST", "/v1/query/sequence", {} if index is None else {"index": index}, files=files)


async def _each(
    frames: Iterable[Photograph | TrackFrame] | AsyncIterable[Photograph | TrackFrame],
) -> AsyncIterator[Photograph | TrackFrame]:
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
    else:
        for frame in frames:
            yield frame


def _websockets(name: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise MissingExtra("Tracks need the package websockets: pip install websockets.") from error


@contextmanager
def _as_errors(client: ClientBase) -> Iterator[None]:
    """Turns what ends a connection into the client's errors."""
    exceptions = _websockets("websockets.exceptions")
    try:
        yield
    except exceptions.InvalidStatus as error:
        raise _refused(error.response) from error
    except (exceptions.WebSocketException, OSError, TimeoutError) as error:
        raise Unreachable(f"The track at {client.url} ended: {error}.") from error


def _address(client: ClientBase) -> str:
    address = "ws" + client.url.removeprefix("http") + "/v1/track"
    return address if client.index is None else f"{address}?{urlencode({'index': client.index})}"


def _options(client: ClientBase) -> dict[str, Any]:
    return {"additional_headers": client.headers, "compression": None, "max_size": None}


def _message(kind: str, content: BaseModel) -> str:
    return json.dumps({"type": kind, **content.model_dump(mode="json", exclude_unset=True)})


def _messages(frame: Photograph | TrackFrame) -> list[str | bytes]:
    if isinstance(frame, TrackFrame):
        return [_message("frame", frame.header), read_photograph(frame.photograph)[1]]
    return [read_photograph(frame)[1]]


def _read(text: str | bytes) -> Tracked:
    for kind in (TrackAnswer, SmoothedTrack, TrackFailure):
        try:
            answer = kind.model_validate_json(text)
        except ValidationError:
            continue
        if isinstance(answer, TrackFailure):
            return Refused(answer.error.message, answer.error.code, None)
        return answer
    raise Unreachable("The server's message is not one of a daco-serve server.")


def _refused(response: Any) -> Refused:
    try:
        detail = ErrorAnswer.model_validate_json(response.body or b"").error
        return Refused(detail.message, detail.code, response.status_code)
    except ValidationError:
        return Refused(f"The server answered {response.status_code}.", "", response.status_code)
