"""The exchange of messages with one client of `/v1/track`; it holds the state of the track."""

import asyncio
import json
import logging
from contextlib import suppress
from dataclasses import replace
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from pydantic import BaseModel

from daco_serve.engine.answers import QueryError
from daco_serve.engine.service import Service
from daco_serve.engine.tracking import Motion
from daco_serve.engine.tracking.session import Frame, TrackSession, both
from daco_serve.http.answers import query_answer, track_estimate, track_frame
from daco_serve.http.middleware.rates import client_of, count_frame
from daco_serve.http.refusals import REFUSALS, Refusal, forget_frames, refusal_of_fault, validated
from daco_serve.http.track_schemas import (
    MOST_SMOOTHED,
    FrameHeader,
    SmoothedTrack,
    TrackAnswer,
    TrackFailure,
    TrackSettings,
)
from daco_serve.http.tracking.inbox import Arrived, Inbox
from daco_serve.http.tracking.places import TrackPlace
from daco_serve.http.uploads.admission import Admission
from daco_serve.operation import metrics

log = logging.getLogger("daco_serve.access")

SEND_SECONDS = 30.0  # for a client that does not read its answers
MOST_FAILURES = 10  # consecutive invalid messages after which the connection is closed
MOST_TEXT = 64 * 2**10  # characters of a text message
NORMAL, GOING_AWAY, UNSUPPORTED, TRY_AGAIN_LATER = 1000, 1001, 1003, 1013  # RFC 6455, section 7.4.1
LATER = (429, 500, 503)  # HTTP statuses after which the same frame may succeed later


class Conversation:
    """One connection: settings and frames in, answers out.

    One task receives, one answers, and one waits for the place to be taken back.
    """

    def __init__(self, websocket: WebSocket, service: Service, index: str | None, place: TrackPlace) -> None:
        self._websocket = websocket
        self._service = service
        self._index = index
        self._place = place
        self._admission: Admission = websocket.app.state.admission
        self._inbox = Inbox()
        self._settings = TrackSettings()
        self._session: TrackSession | None = None
        self._answered = 0
        self._failures = 0
        self._finished = False
        self._header: FrameHeader | None = None
        self._unused: Frame | None = None  # the last frame, if it was not used: its motion is added to the next one's

    async def run(self) -> None:
        """Runs until the client disconnects, is silent for too long, or sends only invalid messages."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen())
                group.create_task(self._answer())
                group.create_task(self._give_way())
        except* (WebSocketDisconnect, _Over, RuntimeError) as group_error:
            over = next((error for error in group_error.exceptions if isinstance(error, _Over)), None)
            if over is not None:
                with suppress(RuntimeError):  # the client has already disconnected
                    await self._websocket.close(over.code, over.reason)
        finally:
            self._inbox.drop()
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
            arrived = Arrived(track_frame(content, header), self._admission, self._websocket)
            try:
                await self._inbox.put(arrived)
            except BaseException:
                arrived.let_go()
                raise
            return
        try:
            given = _parsed(text or "")
            kind = given.pop("type", "frame")
            if kind == "finish":
                self._finished = True
            elif kind == "settings":
                if self._session is not None:
                    raise Refusal("invalid_request", "Settings must come before the first frame.")
                settings, most = validated(TrackSettings, given), self._service.settings.max_k
                if settings.k > most:
                    raise Refusal("bad_k", f"k must be a whole number from 1 to {most}.")
                self._settings = settings
                self._inbox.drops = self._settings.drop
            elif kind == "frame":
                self._header = validated(FrameHeader, given)
            else:
                raise Refusal("invalid_request", "type must be settings, frame or finish.")
        except Refusal as refusal:
            await self._fail(refusal)

    async def _give_way(self) -> None:
        await self._place.taken_back.wait()
        refusal = Refusal("track_gave_way")
        await self._send(TrackFailure.of(refusal.code, refusal.message, None, self._inbox.dropped))
        raise _Over(TRY_AGAIN_LATER, refusal.message)

    async def _answer(self) -> None:
        while True:
            arrived = await self._inbox.next()
            if arrived is None:
                break
            await self._answer_one(arrived)
            del arrived  # also frees its bytes, which are no longer counted
        if self._finished:
            # in a thread, because it takes many seconds for a long track
            await self._send(await asyncio.to_thread(self._whole_track))
            raise _Over(NORMAL, "Finished.")

    async def _answer_one(self, arrived: Arrived) -> None:
        arrived.begin()
        frame = arrived.frame
        if self._unused is not None:
            frame = replace(frame, odometry=both(self._unused.odometry, frame.odometry))
            self._unused = None
        try:
            if arrived.refusal is not None:
                raise arrived.refusal
            await count_frame(self._websocket, frame.upload)
            answer = await self._look_up(frame)
        except Exception as fault:
            error = fault if isinstance(fault, Refusal | QueryError) else refusal_of_fault(fault)
            if error is not fault:
                log.exception("A frame of a track failed.")
            forget_frames(fault)
            metrics.track_frames.labels("refused").inc()
            self._unused = replace(frame, upload=b"")
            await self._fail(error, frame.timestamp)
            return
        finally:
            arrived.let_go()
        metrics.track_frames.labels("answered").inc()
        self._failures = 0
        await self._send(answer)

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
            raise Refusal("invalid_request", f"A smoothed track may have at most {MOST_SMOOTHED} frames.")
        with self._admission.place(self._websocket):
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
        """Sends the reason why a message was not used; too many consecutive client errors end the connection."""
        if REFUSALS[error.code][0] not in LATER:
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


class _Over(Exception):
    """The connection must be closed."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def _parsed(text: str) -> dict[str, Any]:
    if len(text) > MOST_TEXT:
        raise Refusal("json_too_large", f"A text message may have at most {MOST_TEXT} characters.")
    try:
        given = json.loads(text)
    except (ValueError, RecursionError):
        raise Refusal("invalid_request", "A text message must be one JSON object.") from None
    if not isinstance(given, dict):
        raise Refusal("invalid_request", "A text message must be one JSON object.")
    return given
