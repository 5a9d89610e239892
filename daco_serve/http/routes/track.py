"""`/v1/track`, a WebSocket: the frames of one camera in, where it is out; the state lives with the connection."""

import asyncio
import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ValidationError

from daco_serve.engine.answers import QueryError
from daco_serve.engine.service import Service
from daco_serve.engine.tracking import Motion, Odometry
from daco_serve.engine.tracking.session import Frame, TrackSession
from daco_serve.http.answers import query_answer, search_area, track_estimate
from daco_serve.http.middleware.rates import client_of, count_frame
from daco_serve.http.refusals import Refusal, forget_frames
from daco_serve.http.track_schemas import (
    MOST_SMOOTHED,
    FrameHeader,
    SmoothedTrack,
    TrackAnswer,
    TrackFailure,
    TrackSettings,
)
from daco_serve.http.uploads.admission import Admission
from daco_serve.operation import metrics

router = APIRouter()
log = logging.getLogger("daco_serve.access")

Model = TypeVar("Model", bound=BaseModel)
SEND_SECONDS = 30.0  # for a client that does not read its answers
MOST_FAILURES = 10  # messages in a row that cannot be used, after which the connection is closed
MOST_TEXT = 64 * 2**10  # characters of a text message
NORMAL, GOING_AWAY, UNSUPPORTED = 1000, 1001, 1003  # RFC 6455, section 7.4.1
POLICY, TRY_AGAIN_LATER = 1008, 1013
MOST_REASON = 120  # bytes of why a connection is closed
PROTOCOL = "daco.track"  # who offers it is told in a message why no track begins: a browser shows no refused handshake


class Tracks:
    """How many cameras a worker follows."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """A place for a camera.

        Raises:
            Refusal: all are taken.
        """
        if self._count >= self._most:
            raise Refusal("too_busy", f"The server follows {self._most} cameras already: try again later.")
        self._count += 1
        try:
            with metrics.tracks.track_inprogress():
                yield
        finally:
            self._count -= 1


class Inbox:
    """The newest frame that waits, and how many it has replaced.

    Args:
        drops: whether a newer frame replaces one that waits; else it waits for its turn.
    """

    def __init__(self) -> None:
        self.drops = True
        self.dropped = 0
        self._frame: Frame | None = None
        self._changed = asyncio.Condition()
        self._closed = False

    async def put(self, frame: Frame) -> None:
        """Takes a frame in; the motion of one that it replaces is added to its own."""
        async with self._changed:
            if not self.drops:
                await self._changed.wait_for(lambda: self._frame is None or self._closed)
            elif self._frame is not None:
                self.dropped += 1
                metrics.track_frames.labels("dropped").inc()
                frame = replace(frame, odometry=_after(self._frame.odometry, frame.odometry))
            self._frame = frame
            self._changed.notify_all()

    async def close(self) -> None:
        """No more will come."""
        async with self._changed:
            self._closed = True
            self._changed.notify_all()

    async def next(self) -> Frame | None:
        """The frame that waits, or the next to come; None when no more will."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._frame is not None or self._closed)
            frame, self._frame = self._frame, None
            self._changed.notify_all()
            return frame


@router.websocket("/v1/track")
async def track(websocket: WebSocket, index: str | None = None) -> None:
    """Follows a camera. Text messages are JSON: settings first if any, then a header before a frame where it has one,
    `{"type": "finish"}` at the end; a binary message is a frame. Each frame that is not dropped has an answer."""
    service: Service = websocket.app.state.service
    tracks: Tracks = websocket.app.state.tracks
    protocol = PROTOCOL if PROTOCOL in websocket.scope.get("subprotocols", []) else None
    try:
        service.choose(index)
        with tracks.one():
            await websocket.accept(protocol)
            await _Conversation(websocket, service, index).run()
    except (Refusal, QueryError) as error:
        refusal = error if isinstance(error, Refusal) else Refusal(error.code, error.message)
        if protocol is None:
            await websocket.send_denial_response(refusal.response())
            return
        with suppress(WebSocketDisconnect, RuntimeError):  # the client has left meanwhile
            await websocket.accept(protocol)
            await websocket.send_text(TrackFailure.of(refusal.code, refusal.message, None, 0).model_dump_json())
            await websocket.close(TRY_AGAIN_LATER if refusal.status == 503 else POLICY, _reason(refusal.message))


class _Conversation:
    """One connection: a task that listens, and one that answers."""

    def __init__(self, websocket: WebSocket, service: Service, index: str | None) -> None:
        self._websocket = websocket
        self._service = service
        self._index = index
        self._admission: Admission = websocket.app.state.admission
        self._inbox = Inbox()
        self._settings = TrackSettings()
        self._session: TrackSession | None = None
        self._answered = 0
        self._failures = 0
        self._finished = False
        self._header: FrameHeader | None = None

    async def run(self) -> None:
        """Until the client leaves, falls silent, or sends only what cannot be used."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._answer())
        except* (WebSocketDisconnect, _Over, RuntimeError) as group_error:
            over = next((error for error in group_error.exceptions if isinstance(error, _Over)), None)
            if over is not None:
                with suppress(RuntimeError):  # the client has left meanwhile
                    await self._websocket.close(over.code, over.reason)
        finally:
            log.info(
                "track of %s ended: %d frames answered, %d dropped.",
                client_of(self._websocket.scope),
                self._answered,
                self._inbox.dropped,
            )

    async def _listen(self) -> None:
        idle = self._service.settings.track_idle_seconds
        try:
            while not self._finished:
                try:
                    async with asyncio.timeout(idle):
                        message = await self._websocket.receive()
                except TimeoutError:
                    raise _Over(GOING_AWAY, f"No frame for {idle:g} seconds.") from None
                if message["type"] == "websocket.disconnect":
                    raise WebSocketDisconnect(message.get("code", NORMAL))
                await self._take(message.get("text"), message.get("bytes"))
        finally:
            await self._inbox.close()

    async def _take(self, text: str | None, content: bytes | None) -> None:
        """One message."""
        if content is not None:
            header, self._header = self._header or FrameHeader(), None
            await self._inbox.put(Frame(content, header.timestamp, _odometry(header), search_area(header.prior)))
            return
        try:
            given = _parsed(text or "")
            kind = given.pop("type", "frame")
            if kind == "finish":
                self._finished = True
            elif kind == "settings":
                if self._session is not None:
                    raise Refusal("invalid_request", "Settings come before the first frame.")
                settings, most = _validated(TrackSettings, given), self._service.settings.max_k
                if settings.k > most:
                    raise Refusal("bad_k", f"k must be a whole number from 1 to {most}.")
                self._settings = settings
                self._inbox.drops = self._settings.drop
            elif kind == "frame":
                self._header = _validated(FrameHeader, given)
            else:
                raise Refusal("invalid_request", "type is settings, frame or finish.")
        except Refusal as refusal:
            await self._fail(refusal)

    async def _answer(self) -> None:
        unused: Frame | None = None
        while (frame := await self._inbox.next()) is not None:
            if unused is not None:
                frame = replace(frame, odometry=_after(unused.odometry, frame.odometry))
                unused = None
            try:
                await count_frame(self._websocket, frame.upload)
                answer = await self._look_up(frame)
            except Exception as fault:
                error = fault if isinstance(fault, Refusal | QueryError) else Refusal("internal_error")
                if error is not fault:
                    log.exception("A frame of a track failed.")
                forget_frames(fault)
                metrics.track_frames.labels("refused").inc()
                unused = replace(frame, upload=b"")  # its motion belongs to the next one, too
                await self._fail(error, frame.timestamp)
                continue
            metrics.track_frames.labels("answered").inc()
            self._failures = 0
            await self._send(answer)
        if self._finished:
            # in a thread, as it takes many seconds of a long ride
            await self._send(await asyncio.to_thread(self._whole_track))
            raise _Over(NORMAL, "Finished.")

    def _whole_track(self) -> SmoothedTrack:
        tracker = None if self._session is None else self._session.tracker
        if tracker is None or not self._settings.smooth:
            return SmoothedTrack(frames=[], path=[])
        return SmoothedTrack(frames=[track_estimate(one) for one in tracker.smoothed()], path=tracker.best_path())

    async def _look_up(self, frame: Frame) -> TrackAnswer:
        if self._session is None:
            settings = self._settings
            motion = Motion(speed=settings.speed, step_seconds=settings.step_seconds)
            client = client_of(self._websocket.scope)
            self._session = TrackSession(self._service, self._index, client, motion, settings.smooth)
        if not frame.upload:
            raise Refusal("no_image", "The frame is empty.")
        if self._settings.smooth and self._answered >= MOST_SMOOTHED:
            raise Refusal("invalid_request", f"A track that is smoothed has at most {MOST_SMOOTHED} frames.")
        with self._admission.place(self._websocket) as place:
            self._admission.take(place, len(frame.upload))
            estimate, answer = await self._session.frame(frame)
        self._answered += 1
        return TrackAnswer(
            frame=self._answered,
            timestamp=frame.timestamp,
            dropped=self._inbox.dropped,
            track=track_estimate(estimate),
            single=query_answer(replace(answer, matches=answer.matches[: self._settings.k]), self._service),
        )

    async def _fail(self, error: Refusal | QueryError, timestamp: float | None = None) -> None:
        """Tells why a message was not used; too many in a row end the connection."""
        self._failures += 1
        await self._send(TrackFailure.of(error.code, error.message, timestamp, self._inbox.dropped))
        if self._failures >= MOST_FAILURES:
            raise _Over(UNSUPPORTED, f"{MOST_FAILURES} messages in a row could not be used.")

    async def _send(self, answer: BaseModel) -> None:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._websocket.send_text(answer.model_dump_json())
        except TimeoutError:
            raise _Over(GOING_AWAY, "The answers are not read.") from None


def _reason(message: str) -> str:
    return message.encode()[:MOST_REASON].decode("utf-8", "ignore")


class _Over(Exception):
    """The connection is to be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > MOST_TEXT:
        raise Refusal("json_too_large", f"A text message has at most {MOST_TEXT} characters.")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal("invalid_request", "A text message is one JSON object.") from None
    if not isinstance(given, dict):
        raise Refusal("invalid_request", "A text message is one JSON object.")
    return given


def _validated(kind: type[Model], given: dict[str, Any]) -> Model:
    try:
        return kind.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise Refusal("invalid_request", f"{name}: {first['msg']}.") from None


def _odometry(header: FrameHeader) -> Odometry | None:
    return None if header.odometry is None else Odometry(**header.odometry.model_dump())


def _after(first: Odometry | None, second: Odometry | None) -> Odometry | None:
    """Two motions, one after the other, as one; None where either is not known."""
    if first is None or second is None:
        return None
    angle = math.radians(first.turn)
    # the second is measured in a frame that the first has turned clockwise
    return Odometry(
        forward=first.forward + second.forward * math.cos(angle) + second.left * math.sin(angle),
        left=first.left - second.forward * math.sin(angle) + second.left * math.cos(angle),
        turn=first.turn + second.turn,
        deviation_metres=math.hypot(first.deviation_metres, second.deviation_metres),
        deviation_degrees=math.hypot(first.deviation_degrees, second.deviation_degrees),
    )
